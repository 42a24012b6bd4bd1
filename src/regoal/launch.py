"""One run or several seeds of it, and what the command line says of how they ended."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regoal.benchmarks.seeds import parse_seeds
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, BadInput, RunFault

if TYPE_CHECKING:
    from regoal.agent.config import TrainConfig
    from regoal.agent.loop import RunResult


@dataclass(frozen=True)
class Machine:
    """How a run uses the machine; on the CPU its numbers do not depend on it.

    Attributes:
        workers: Processes that play beside the one that learns, or auto.
        device: Device that learns, cpu or cuda.
        buffer_on_disk: Keep the replay buffer in a memory-mapped file, for more than memory holds.
        profile: Say at the end where the time went.
    """

    workers: str = "auto"
    device: str = "cpu"
    buffer_on_disk: bool = False
    profile: bool = False

    def settings(self) -> dict[str, Any]:
        """The same as settings of a run."""
        if self.workers != "auto" and not self.workers.isdecimal():
            raise BadInput("workers", "auto, or a number of processes", repr(self.workers))
        return asdict(self) | {"workers": -1 if self.workers == "auto" else int(self.workers)}


@dataclass(frozen=True)
class Trust:
    """What a run may ask for, beyond what is installed: to import a module is to run it.

    Attributes:
        modules: Modules to import, for envs, strategies, shifts and agents of one's own in what is loaded.
        env_kwargs: NAME=VALUE arguments of the env; those of a run that is loaded are given again.
    """

    modules: tuple[str, ...] = ()
    env_kwargs: tuple[str, ...] = ()

    def grant(self) -> dict[str, Any]:
        """Import the modules, remember the env kwargs and return them."""
        from regoal.agent.settings import value_of, without_tuples
        from regoal.agent.trust import trust

        pairs = assignments(
            self.env_kwargs, "--env-kwargs", "For example --env-kwargs max_episode_steps=100."
        )
        env_kwargs = {name: without_tuples(value_of(text)) for name, text in pairs.items()}
        trust(*self.modules, **env_kwargs)
        return env_kwargs


def train_all(configs: "list[TrainConfig]", jobs: int | None, notes: Mapping[str, str] | None = None) -> int:
    """Train one after the other or side by side; `notes` go into run.toml. Returns the exit code."""
    from regoal.agent.machine import cores
    from regoal.agent.run_folder import require_new
    from regoal.agent.training import train as train_one
    from regoal.agent.trust import trust_settings
    from regoal.agent.validation import validated
    from regoal.benchmarks.parallel import require_jobs, run_all
    from regoal.envs.recipe import EnvRecipe

    if jobs is not None:
        require_jobs(jobs)
    noted = functools.partial(train_one, notes=notes)
    if len(configs) == 1:
        return said(lambda: noted(configs[0]), configs[0].out)
    for config in configs:  # told once, and not by every process of a run
        trust_settings(validated(config))
        EnvRecipe(config.env, config.shift, config.env_kwargs)
        require_new(Path(config.out))
    return _exit_code(run_all(noted, configs, jobs or cores(), label=lambda config: config.out))


def said(work: "Callable[[], RunResult]", run: str | os.PathLike[str]) -> int:
    """Do the work of one run and say how it ended; returns the exit code.

    Raises:
        Stopped: a stop was asked for, after its end was said too.
    """
    from regoal.agent.interrupts import Stopped

    try:
        work()
    except Stopped as stopped:
        print(ending(stopped.run))
        raise
    print(ending(run))
    return 0


def assignments(texts: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE texts as a dict.

    Raises:
        BadInput: one has no =.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(option, "NAME=VALUE", repr(text), example)
        pairs[name.strip()] = value.strip()
    return pairs


def _exit_code(results: "list[RunResult | BaseException]") -> int:
    """Say how each of several runs ended; errors were told when they came."""
    from regoal.agent.interrupts import Stopped

    for result in results:
        if isinstance(result, Stopped):
            print(ending(result.run))
            print(result, file=sys.stderr)
        elif not isinstance(result, BaseException):
            print(ending(result.path))
    stopped = [result for result in results if isinstance(result, KeyboardInterrupt)]
    if stopped:
        return max(one.exit_code if isinstance(one, Stopped) else EXIT_INTERRUPTED for one in stopped)
    errors = [result for result in results if isinstance(result, Exception)]
    if errors and all(isinstance(one, BadInput) and not isinstance(one, RunFault) for one in errors):
        return EXIT_BAD_INPUT
    return EXIT_FAILED if errors else 0


def one_seed(seed: int | None, seeds: str | None) -> int:
    """The seed of a run; with several seeds it has none of its own.

    Raises:
        BadInput: one and several are given.
    """
    if seed is not None and seeds is not None:
        raise BadInput("seed", "--seed or --seeds", f"--seed {seed} --seeds {seeds}", "Leave one out.")
    return seed or 0


def per_seed(config: "TrainConfig", seeds: str) -> "list[TrainConfig]":
    """The config for each of several seeds, with run folders below its own."""
    return [
        dataclasses.replace(config, seed=seed, out=str(Path(config.out) / f"seed-{seed}"))
        for seed in parse_seeds(seeds)
    ]


def ending(run: str | os.PathLike[str]) -> str:
    """Where a run began and ended, in one line, as its folder tells: its first evaluation and its last."""
    from regoal.agent.checkpoints import newest_checkpoint
    from regoal.agent.run_folder import read_config
    from regoal.benchmarks.tables import read_rows

    config, rows = read_config(run), read_rows(Path(run) / "metrics.csv")
    collected: int = newest_checkpoint(Path(run)).state["progress"]["run"]["env_steps"]
    if not rows:
        return f"{run}: not evaluated, {collected:,} env steps"
    measured = int(rows[-1]["env_steps"])
    shown = [f"{float(row['success']):.2f}" for row in (rows[0], rows[-1])]
    success = " -> ".join(shown[: len(rows)])
    steps = f"{measured:,} env steps"
    if collected > measured:  # it was stopped
        steps = f"{measured:,} of the {collected:,} env steps collected"
    world = config.shift or "no shift"
    return f"{run}: success {success} after {steps} ({world}; {config.eval_episodes} episodes)"

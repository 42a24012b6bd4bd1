"""Sources that are pretrained once, and what is made of them in shifted targets: arms of one experiment.

Every arm of a seed starts from the same source run, so arms are paired by seed. A run is an ordinary run
folder: OUT/source/seed-0, and OUT/SHIFT/ARM/seed-0 for what came of it.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.finetuning import resolve
from regoal.agent.settings import set_field
from regoal.benchmarks.cell_run import Job, is_finished, run_on
from regoal.benchmarks.cells import Cell
from regoal.benchmarks.curves import Curve, read_curve
from regoal.benchmarks.parallel import all_results
from regoal.envs.recipe import EnvRecipe


@dataclass(frozen=True)
class Arm:
    """A way to go on from a source.

    Attributes:
        mode: of fine-tuning.
        relabel: strategy of hindsight.
    """

    mode: str
    relabel: str = "future"

    @property
    def name(self) -> str:
        """The mode, and the strategy where it is not the default."""
        return self.mode if self.relabel == "future" else f"{self.mode}-{self.relabel}"


@dataclass(frozen=True)
class Experiment:
    """What is compared, and for how long it learns.

    Attributes:
        env: id of the env.
        shifts: the targets.
        arms: each is run in each target, for each seed.
        seeds: a source for each.
        source_steps, steps: env steps in the source and in a target.
        eval_interval: env steps between evaluations in a target.
        eval_episodes: episodes an evaluation.
        settings: of the sources, and so of all, that differ from the defaults.
    """

    env: str
    shifts: tuple[str, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    source_steps: int
    steps: int
    eval_interval: int
    eval_episodes: int = 20
    settings: Mapping[str, str] = field(default_factory=dict)


def source_path(out: Path, seed: int) -> Path:
    """The run folder of a seed's source."""
    return out / "source" / f"seed-{seed}"


def run_path(out: Path, shift: str, arm: Arm, seed: int) -> Path:
    """The run folder of an arm in a target."""
    return out / shift / arm.name / f"seed-{seed}"


def source_config(experiment: Experiment, out: Path, seed: int) -> TrainConfig:
    """The pretraining of one seed."""
    config = TrainConfig(
        env=experiment.env,
        out=str(source_path(out, seed)),
        steps=experiment.source_steps,
        seed=seed,
        eval_interval=max(experiment.source_steps // 10, 1),
        keep_replay=True,
        workers=0,
    )
    for name, text in experiment.settings.items():
        config = set_field(config, name, text)
    return config


def arm_config(experiment: Experiment, out: Path, shift: str, arm: Arm, seed: int) -> TrainConfig:
    """An arm's run of one seed in a target."""
    return resolve(
        source_path(out, seed),
        FinetuneConfig(
            out=str(run_path(out, shift, arm, seed)),
            shift=shift,
            mode=arm.mode,
            relabel=arm.relabel,
            steps=experiment.steps,
            seed=seed,
            eval_interval=experiment.eval_interval,
            eval_episodes=experiment.eval_episodes,
            workers=0,
        ),
    )


def learned(config: TrainConfig) -> None:
    """Run it to its end, from wherever it was stopped.

    Raises:
        BadInput: it cannot begin, or in its folder is a run of other settings.
        Stopped: a stop was asked for.
    """
    # A run writes its shift down in one way, however it was typed.
    shift = EnvRecipe(config.env, config.shift, config.env_kwargs).shift
    cell = Cell(config.out, replace(config, shift=shift))
    if not is_finished(cell):
        cell.path.mkdir(parents=True, exist_ok=True)
        run_on(Job(cell, {}))


def run_experiment(experiment: Experiment, out: Path, jobs: int) -> None:
    """Pretrain the sources, then run every arm; one thread a run, `jobs` runs at a time.

    What is finished in the folder is not run again, what was stopped goes on.

    Raises:
        BadInput: a run cannot begin, or there is one of other settings.
        Stopped: a stop was asked for.
        RunFailed: a run went wrong; the others have ended.
    """
    shifts, arms, seeds = experiment.shifts, experiment.arms, experiment.seeds
    say(f"pretraining {len(seeds)} sources in {experiment.env} ...")
    all_results(learned, [source_config(experiment, out, seed) for seed in seeds], jobs, name_of)
    say(f"{len(arms)} arms x {len(shifts)} targets x {len(seeds)} seeds ...")
    configs = [
        arm_config(experiment, out, shift, arm, seed) for shift in shifts for seed in seeds for arm in arms
    ]
    all_results(learned, configs, jobs, name_of)


def read_arm(out: Path, shift: str, arm: Arm, seeds: Sequence[int]) -> Curve:
    """What an arm reached in a target, a row a seed."""
    return read_curve([run_path(out, shift, arm, seed) for seed in seeds])


def name_of(config: TrainConfig) -> str:
    """For messages."""
    return config.out


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)

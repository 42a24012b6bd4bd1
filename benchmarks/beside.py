"""One env learned by regoal and by Stable-Baselines3 in the same time: `make bench-learning`.

    python -m regoal.benchmarks.beside --results benchmarks/results
    python -m regoal.benchmarks.beside --env FetchReach-v4 --minutes 5 --out runs/beside

Both learn for the same wall-clock minutes on the same cores, one after the other, and are evaluated without
exploration in the same 50 episodes: success is the goal reached at the last step.

- regoal: what `regoal train ENV` runs on this machine, with the env's preset or the general defaults, one
  thread that learns and workers on the other cores. Its steps are raised so that it is the time that ends it,
  and discovery still ends where the preset lets it. Its time is `wall_seconds` of metrics.csv, and an
  evaluation counts from when its result was there: the evaluations and checkpoints of a run are in it, to its
  disadvantage. What it did twice after a kill counts once.
- Stable-Baselines3: SAC + HER (3 x 256, batch 256, gamma 0.95, tau 0.05, lr 1e-3, 4 future goals, an update a
  step, 1,000 steps before the first), in one process with one torch thread or one a core, whichever makes
  its update quicker on this machine: it is tried before its clock starts. Evaluations stop its clock, and
  nothing is saved.

The same command goes on where it was: a side that has been measured is not run again, a regoal run that was
stopped is resumed, and a Stable-Baselines3 run that was stopped begins anew. `beside.csv` keeps its rows of
other envs and seeds.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from regoal.agent.experience import discovery_steps
from regoal.agent.interrupts import StopRequest
from regoal.agent.machine import worker_count
from regoal.agent.progress import say
from regoal.agent.seeding import Stream, env_seed
from regoal.agent.validation import validated
from regoal.benchmarks.beside_table import (
    COLUMNS,
    EVAL_EPISODES,
    SLACK_SECONDS,
    Row,
    Rows,
    as_table,
    curves_of,
    merged,
    rows_of,
    verdict,
)
from regoal.benchmarks.cell_run import Job, require_same_settings, run_cell
from regoal.benchmarks.cells import Cell, folder_name
from regoal.benchmarks.curves import draw_over_minutes
from regoal.benchmarks.parallel import POLL_SECONDS, Processes, RunFailed
from regoal.benchmarks.presets import configured, preset_for
from regoal.benchmarks.tables import read_rows, read_table, replace_rows
from regoal.envs.recipe import EnvRecipe, require_registered
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, BadInput

TABLE = "beside.csv"
PEER = "stable-baselines3"
PEER_EVALUATIONS = 30  # of Stable-Baselines3, evenly over its time
MOST_MINUTES = 10_000  # a week
STEPS_A_SECOND = 10_000  # more than any env is played and learned from


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        label: library and version.
        file: CSV that its evaluations are written to while it learns.
        function, item: what learns, in a process of its own; may be asked to stop.
        resumes: whether it goes on where it was stopped.
    """

    label: str
    file: Path
    function: Callable[[Any], None]
    item: Any
    resumes: bool

    def rows(self) -> Rows:
        """Its evaluations so far, with what else their files say."""
        return read_rows(self.file) if self.file.exists() else []


@dataclass(frozen=True)
class PeerJob:
    """What Stable-Baselines3 is to learn, and for how long."""

    env: str
    seed: int
    seconds: float
    file: Path


def learn_as_peer(job: PeerJob) -> None:
    """Let Stable-Baselines3 learn, in this process."""
    from regoal.benchmarks.peers.sb3 import learn_on_the_clock  # it is not installed beside ours

    job.file.parent.mkdir(parents=True, exist_ok=True)
    seeds = [env_seed(job.seed, Stream.EVALUATION, index) for index in range(EVAL_EPISODES)]
    learn_on_the_clock(job.env, job.seed, job.seconds, job.seconds / PEER_EVALUATIONS, seeds, job.file)


def our_side(env: str, seed: int, minutes: float, folder: Path) -> Side:
    """The ordinary run of an env, for as long as it may.

    Args:
        env: id.
        seed: of the run.
        minutes: that it has.
        folder: that its run folder is in.

    Raises:
        BadInput: settings that do not work, or a run folder with others.
    """
    label = f"regoal {version('regoal')}"
    preset = preset_for(env)
    config = configured(preset, env, folder / folder_name(label), seed=seed, eval_episodes=EVAL_EPISODES)
    config = dataclasses.replace(
        config,
        steps=max(config.steps, math.ceil(60 * minutes * STEPS_A_SECOND)),
        discovery_steps=discovery_steps(config) if config.discovery else 0,
        # Its process is not the only one, and so would have none if it were left to choose.
        workers=worker_count(config, EnvRecipe(env)),
    )
    name = preset.name if preset else ""
    cell = Cell(folder_name(label), validated(config), preset=name)
    say(f"{label}: {f'preset {name}' if name else 'general defaults'}; workers beside it: {config.workers}")
    if (cell.path / "config.toml").exists():
        require_same_settings(cell)
    return Side(label, cell.path / "metrics.csv", run_cell, Job(cell, {}), resumes=True)


def peer_side(env: str, seed: int, minutes: float, folder: Path) -> Side:
    """Stable-Baselines3.

    Raises:
        BadInput: it is not installed.
    """
    try:
        label = f"{PEER} {version(PEER)}"
    except PackageNotFoundError as error:
        fix = "make bench-learning sets up .venv-peers, which has it."
        raise BadInput(PEER, "to be installed beside regoal", "a Python without it", fix) from error
    file = folder / f"{folder_name(label)}.csv"
    return Side(label, file, learn_as_peer, PeerJob(env, seed, 60 * minutes, file), resumes=False)


def is_measured(rows: Rows, seconds: float) -> bool:
    """Whether a side was evaluated at the end of its time or later."""
    return bool(rows) and float(rows[-1]["wall_seconds"]) >= seconds


def measure(side: Side, seconds: float) -> int:
    """Let a side learn for so long, if it has not; tells its evaluations as they come.

    Returns:
        The number of the signal that stopped it before, 0 if none did.

    Raises:
        BadInput, RunFailed: it cannot learn.
    """
    if is_measured(side.rows(), seconds):
        say(f"{side.label}: measured before, {side.file}")
        return 0
    if not side.resumes:
        side.file.unlink(missing_ok=True)
    told, asked = 0, False
    with StopRequest() as stop, Processes(side.function, 1) as processes:
        processes.start(side.label, side.item)
        ended: Sequence[tuple[str, object]] = ()
        while not ended:
            ended = processes.ended(POLL_SECONDS)
            rows = side.rows()
            for row in rows[told:]:
                tell(side.label, row)
            told = max(told, len(rows))
            if not asked and (stop.requested or is_measured(rows, seconds)):
                processes.stop()  # a run ends well: with a checkpoint, at the end of its block
                asked = True
    if stop.requested:
        return stop.signal
    [(_, outcome)] = ended
    if isinstance(outcome, BaseException) and not is_measured(side.rows(), seconds):
        raise outcome
    return 0


def tell(label: str, row: Mapping[str, str]) -> None:
    """A line of progress."""
    minutes, steps = float(row["wall_seconds"]) / 60, int(row["env_steps"])
    say(f"{label}: minute {minutes:.1f}, {steps:,} env steps, success {float(row['success']):.2f}")


def compare(env: str, seed: int, minutes: float, out: Path, results: Path) -> int:
    """Measure what is missing of both sides, and write and print what came out; returns the exit code.

    Raises:
        BadInput: told before anything starts, where that is possible.
        RunFailed: a side went wrong.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise BadInput("minutes", f"more than 0, at most {MOST_MINUTES:,}", f"{minutes:g}")
    require_registered(env)
    folder = out / folder_name(env) / f"seed-{seed}" / f"{minutes:g}-minutes"
    sides = [make(env, seed, minutes, folder) for make in (our_side, peer_side)]
    before = read_table(results / TABLE, COLUMNS)  # told now, and not after an hour, if it is none
    same = [one for one in before if (one["env"], one["seed"]) == (env, str(seed))]
    had = max((float(one["wall_seconds"]) for one in same), default=0.0)
    if had > 60 * minutes + SLACK_SECONDS:
        raise BadInput(
            "minutes",
            f"at least the {had / 60:.1f} that {results / TABLE} has of {env}, seed {seed}",
            f"{minutes:g}",
            "Name another folder with --results.",
        )
    say(f"{env}: {minutes:g} minutes each, one after the other; leave the machine alone")
    for side in sides:
        if signal := measure(side, 60 * minutes):
            how = "goes on where it was" if side.resumes else "begins anew"
            say(f"stopped; with the same command {side.label} {how}, and what is measured stays")
            return 128 + signal
    now = [row for side in sides for row in rows_of(side.label, side.rows(), env, seed, 60 * minutes)]
    rows = merged(read_table(results / TABLE, COLUMNS), now)
    replace_rows(results / TABLE, Row, rows)
    draw_over_minutes((results / TABLE).with_suffix(".png"), curves_of(rows), "Learning in the same time")
    print(f"{as_table(now, minutes)}\n\n{verdict(now, minutes)}\n{results / TABLE}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Compare as asked; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="FetchPush-v4")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training, each side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/beside"))
    parser.add_argument("--results", type=Path, help="folder for the table and the plot; OUT if not given")
    options = parser.parse_args(argv)
    try:
        results = options.results or options.out
        return compare(options.env, options.seed, options.minutes, options.out, results)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except RunFailed as error:
        print(
            f"failed: {error}; a run prints into the .log beside its folder in {options.out}", file=sys.stderr
        )
        return EXIT_FAILED
    except KeyboardInterrupt:  # the second, or between the sides
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

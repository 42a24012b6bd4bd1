"""What a suite would run, and how long that would take, measured by a few seconds of each kind of cell."""

import contextlib
import dataclasses
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regoal.agent.agents import agent_name
from regoal.agent.config import TrainConfig
from regoal.agent.interrupts import Stopped, StopRequest
from regoal.agent.modes import START
from regoal.benchmarks.benchmark import minutes
from regoal.benchmarks.cell_run import is_finished, printing_to
from regoal.benchmarks.cells import Cell
from regoal.benchmarks.grid import Suite, arms_of, tasks_of
from regoal.benchmarks.parallel import all_results
from regoal.benchmarks.tables import read_rows

LEARNING_SECONDS = 3.0  # that a kind of cell is watched while it learns


@dataclass(frozen=True)
class Pace:
    """How fast a kind of cell goes.

    Attributes:
        start_seconds: until it learns: a process, imports, the check of its env.
        episode_seconds: an episode of an evaluation.
        step_seconds: an env step, with its share of the updates.
    """

    start_seconds: float
    episode_seconds: float
    step_seconds: float

    def seconds(self, config: TrainConfig) -> float:
        """A whole run."""
        evaluations = 1 + -(-config.steps // config.eval_interval)
        played = evaluations * config.eval_episodes * self.episode_seconds
        return self.start_seconds + played + config.steps * self.step_seconds


def kind_of(cell: Cell) -> str:
    """Cells that go equally fast: those of one env and one agent with its settings."""
    config = cell.config
    agent = config.agent
    updates = f"{agent.updates_per_step:g} updates of {agent.batch_size} a step"
    hidden = getattr(agent, "hidden", ())
    shape = "x".join(map(str, hidden)) if isinstance(hidden, tuple) else str(hidden)
    return f"{config.env} {agent_name(agent)} {shape}, {updates}"


def measure(config: TrainConfig) -> Pace:
    """Run a cell for a few seconds, in a folder that is taken away again."""
    from regoal.agent.checkpoints import newest_checkpoint
    from regoal.agent.training import train

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fresh = START | {"source": "", "mode": "scratch", "learning_starts": 0, "keep_replay": False}
        # One evaluation, at the beginning: what comes after it is learning alone.
        config = dataclasses.replace(config, out=str(run), eval_interval=config.steps + 1, **fresh)
        with printing_to(Path(folder) / "log"):
            before = time.process_time()  # a process starts and imports as fast as it can
            began = time.monotonic()
            with _stopped_soon(run), contextlib.suppress(Stopped):
                train(config)
            took = time.monotonic() - began
        evaluations = [float(row["wall_seconds"]) for row in read_rows(run / "metrics.csv")]
        state = newest_checkpoint(run).state["progress"]["run"]
    learning = state["wall_seconds"] - len(evaluations) * evaluations[0]
    return Pace(
        start_seconds=before + took - state["wall_seconds"],
        episode_seconds=evaluations[0] / config.eval_episodes,
        step_seconds=max(learning, 0.0) / max(state["env_steps"], 1),
    )


@contextlib.contextmanager
def _stopped_soon(run: Path) -> Iterator[None]:
    """Ask this process to stop some seconds after the first evaluation of a run, unless it has ended."""
    ended = threading.Event()

    def stop() -> None:
        while not (run / "metrics.csv").exists() or not read_rows(run / "metrics.csv"):
            if ended.wait(0.05):
                return
        if not ended.wait(LEARNING_SECONDS):
            os.kill(os.getpid(), signal.SIGTERM)

    watch = threading.Thread(target=stop, daemon=True)
    with StopRequest():  # takes the signal where it comes as the run has just ended by itself
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()


def describe(suite: Suite, cells: Sequence[Cell], out: Path, jobs: int) -> str:
    """Tasks, arms, cells, what is shared, and a time estimate; measures for a few seconds.

    Raises:
        BadInput: an env does not keep the contract.
    """
    arms, tasks = arms_of(suite), tasks_of(suite)
    sources = [cell for cell in cells if not cell.columns]
    left = [cell for cell in cells if not is_finished(cell)]
    lines = [f"{suite.name}: {suite.title}", f"tasks ({len(tasks)}):", *(f"  {one.name}" for one in tasks)]
    lines += [f"arms ({len(arms)}):", *(f"  {arm.name}" for arm in arms)]
    lines += [f"seeds ({len(suite.seeds)}): {', '.join(map(str, suite.seeds))}"]
    lines += [f"cells ({len(cells)}), in {out}/cells:"]
    folders: dict[str, list[Cell]] = {}
    for cell in cells:
        folders.setdefault(cell.name.rpartition("/")[0], []).append(cell)
    for folder, same in folders.items():
        (first, *_) = same
        text = f"  {folder}: {len(same)} seeds x {first.config.steps:,} steps"
        arms_from = sum(one.source is first for one in cells)
        if first in sources:
            text += f"; pretraining, once a seed for {arms_from} cells that start from its checkpoint"
        lines.append(text)
    if len(left) < len(cells):
        lines.append(f"{len(cells) - len(left)} of them are finished")
    return "\n".join(lines + (_time(left, jobs) if left else []))


def _time(cells: Sequence[Cell], jobs: int) -> list[str]:
    """How long these cells take."""
    longest: dict[str, TrainConfig] = {}
    for cell in cells:
        kind = kind_of(cell)
        if cell.config.steps > longest.get(kind, cell.config).steps or kind not in longest:
            longest[kind] = cell.config
    configs = [dataclasses.replace(config, steps=max(config.steps, 1)) for config in longest.values()]
    paces = dict(zip(longest, all_results(measure, configs, jobs, label=lambda one: one.env), strict=True))
    seconds = {cell.name: paces[kind_of(cell)].seconds(cell.config) for cell in cells}
    chains = [
        seconds[cell.name] + (seconds.get(cell.source.name, 0.0) if cell.source else 0.0) for cell in cells
    ]
    total = max(sum(seconds.values()) / jobs, *chains)
    lines = ["measured, each for a few seconds of learning:"]
    for kind, pace in paces.items():
        lines.append(
            f"  {kind}: {1 / max(pace.step_seconds, 1e-9):,.0f} env steps/s, "
            f"{pace.episode_seconds:.3f} s an evaluation episode, {pace.start_seconds:.1f} s to start"
        )
    lines.append(
        f"about {minutes(total)} with {jobs} jobs: the sum over cells of start + evaluations + steps is "
        f"{minutes(sum(seconds.values()))}, spread over the jobs; at least the longest source and arm one "
        "after the other. Episodes are taken to stay as long as they were, and the machine as idle."
    )
    return lines

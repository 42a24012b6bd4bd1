"""A long run on an env with faults, whose worker hangs three times and is killed three times."""

import csv
import os
import resource
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import DDPGConfig, TrainConfig
from regoal.agent.seeding import Stream, env_seed
from regoal.benchmarks.torture.children import Child, train_aloud
from regoal.benchmarks.torture.faulty_env import FOLDER, LEARNER
from regoal.benchmarks.torture.tally import Tally

MODULE = "regoal.benchmarks.torture.faulty_env"
STRIKES = ("hang", "kill", "hang", "kill", "hang", "kill")
EVAL_EPISODES = 10  # with seed 0 one of them is spoiled, in every evaluation
HANG_SECONDS = 5.0
SAMPLES = 300
MOST_GROWTH, MOST_GROWTH_BYTES = 0.05, 20e6  # of memory, from the first third to the last: either will do


def soak(folder: Path, seconds: float, seed: int = 0) -> Tally:
    """Train for about so long with all faults, and account for every one of them."""
    rate = _steps_per_second(folder / "calibration", seed)
    run = folder / "soak"
    # A little longer: where other work ends meanwhile the run is faster than it was measured.
    config = _config(run, max(int(1.1 * rate * seconds), 3_000), seed)
    child = Child(train_in_trouble, config, folder, log=folder / "soak.log")
    while child.told() != ("saved", 0):
        pass
    (folder / "armed").touch()
    child.connection.send("go on")
    memory, files = _strike_and_watch(child, folder, config.steps)
    tally = Tally()
    if child.ended() != 0:
        tally.failures.append("the run did not finish")
        return tally
    counts = _counted(folder, run, config, tally)
    first, last = memory
    if last > first * (1 + MOST_GROWTH) and last > first + MOST_GROWTH_BYTES:
        tally.failures.append(f"memory grew from {first / 1e6:.1f} MB to {last / 1e6:.1f} MB")
    if files[1] > files[0]:
        tally.failures.append(f"{files[0]} open files became {files[1]}")
    tally.note = f"{counts}; memory {first / 1e6:.0f} MB, at the end {last / 1e6:.0f} MB"
    return tally


def train_in_trouble(connection: Connection, config: TrainConfig, folder: Path) -> None:
    """In a process of its own: train and wait after the first checkpoint, until all is armed."""
    os.environ |= {FOLDER: str(folder), LEARNER: str(os.getpid())}
    train_aloud(connection, config, freeze=True)


def _config(run: Path, steps: int, seed: int) -> TrainConfig:
    return TrainConfig(
        env=f"{MODULE}:torture/Faulty-v0",
        out=str(run),
        agent=DDPGConfig(hidden=(32, 32), batch_size=64, updates_per_step=0.25),
        steps=steps,
        seed=seed,
        capacity=10_000,
        eval_interval=5_000,
        eval_episodes=EVAL_EPISODES,
        checkpoint_interval=5_000,
        hang_seconds=HANG_SECONDS,
        workers=1,
    )


def _steps_per_second(run: Path, seed: int) -> float:
    """How fast such a run is on this machine as it is now."""
    child = Child(train_aloud, _config(run, 10**9, seed), log=run.with_suffix(".log"))
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < seen[0][1] + 1_000:
        told = child.told()
        assert told is not None, f"the run has ended: {run.with_suffix('.log').read_text()}"
        if told[0] == "steps":
            seen.append((time.monotonic(), told[1]))
    child.kill()
    return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def _strike_and_watch(child: Child, folder: Path, steps: int) -> tuple[tuple[float, float], tuple[int, int]]:
    """Let one strike after the other fall; memory and open files, in the first third and in the last."""
    fallen = 0
    samples: list[tuple[float, int]] = []  # resident bytes, open files
    while (told := child.told()) is not None:
        share = told[1] / steps
        if fallen < len(STRIKES) and share > (fallen + 1) / (len(STRIKES) + 3):
            _strike(STRIKES[fallen], child, folder)
            fallen += 1
        if told[0] == "steps" and share * SAMPLES >= len(samples):
            samples.append(_used(child.pid))
    warm = samples[len(samples) // 10 :]
    third = max(len(warm) // 3, 1)
    memory = [float(np.mean([one[0] for one in part])) for part in (warm[:third], warm[-third:])]
    files = [int(np.median([one[1] for one in part])) for part in (warm[:third], warm[-third:])]
    return (memory[0], memory[1]), (files[0], files[1])


def _strike(kind: str, child: Child, folder: Path) -> None:
    if kind == "hang":
        (folder / "hang").touch()
    else:
        while not (workers := _workers_of(child.pid)):  # the one before is being replaced
            time.sleep(0.1)
        os.kill(workers[0], signal.SIGKILL)


def _used(pid: int) -> tuple[float, int]:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * resource.getpagesize()), len(os.listdir(f"/proc/{pid}/fd"))


def _workers_of(run: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == run and "regoal.agent.worker" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except (OSError, ValueError):  # it ended meanwhile
            continue
    return found


def _counted(folder: Path, run: Path, config: TrainConfig, tally: Tally) -> str:
    """Hold what the run has counted against what was done to it."""
    lines = (folder / "faults").read_text().split() if (folder / "faults").exists() else []
    spoiled = {int(line) for line in lines}  # a worker that was killed may have met one a second time
    evaluated = {
        env_seed(config.seed, Stream.EVALUATION, index, attempt)
        for index in range(EVAL_EPISODES)
        for attempt in range(10)
    }
    in_training, in_evaluation = len(spoiled - evaluated), len(spoiled & evaluated)
    told: dict[str, Any] = newest_checkpoint(run).state["progress"]["run"]
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    log = (folder / "soak.log").read_text()
    expected = {
        "failed_episodes": (told["failed_episodes"], in_training),
        "hung workers": (log.count("took no step"), STRIKES.count("hang")),
        "killed workers": (log.count("was ended by signal 9"), STRIKES.count("kill")),
    }
    for row in rows:
        at = f"eval_failed_episodes at {row['env_steps']}"
        expected[at] = int(row["eval_failed_episodes"]), in_evaluation
    for name, (counted, done) in expected.items():
        if counted != done:
            tally.failures.append(f"{name}: {counted} counted, {done} done")
    tally.tries = in_training + in_evaluation * len(rows) + len(STRIKES)
    evaluations = f"{len(rows)} evaluations with {in_evaluation} each"
    return f"{told['episodes']} episodes, {in_training} spoiled, {evaluations}"

"""`regoal benchmark` whose processes are killed at random moments, held against one that is left in peace."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from regoal.benchmarks.benchmark_folder import read_failures
from regoal.benchmarks.results import DONE
from regoal.benchmarks.torture.chains import differences
from regoal.benchmarks.torture.tally import Tally

# Short cells: an env without a simulator, tiny networks, a few hundred steps, and checkpoints all the time.
SUITE = """
name = "short"
seeds = {seeds}
steps = 300
eval_interval = 100
eval_episodes = 2
[pretrain]
steps = 200
[grid]
env = ["regoal/PointReach-v0"]
shift = ["action_gain=0.5"]
mode = ["replay_mix", "anchor", "scratch"]
[settings]
agent.hidden = [16]
agent.batch_size = 16
checkpoint_interval = 50
"""
CELLS_A_SEED = 4  # with the source
LAST_MOMENT = 0.7  # of all that is to be saved: later, nothing may be left to kill
MOST_KILLS = 2  # of one cell: the third would fail it, as it should
PATIENCE_SECONDS = 600.0  # for anything to get on
BEGUN_BY = re.compile(r": process (\d+) on ")
FINISHED = re.compile(r"^\d+/\d+ (\S+): success ", re.MULTILINE)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that can be begun again and again.

    Attributes:
        suite: its name, or its file.
        out: DIR.
        options: of the command.
    """

    suite: str
    out: Path
    options: tuple[str, ...]

    @property
    def said(self) -> Path:
        """What all its drivers said."""
        return self.out.with_name(f"{self.out.name}.said")

    def begin(self) -> "subprocess.Popen[bytes]":
        """Its driver, in a session of its own: a signal to the group reaches whatever it begins here."""
        command = [sys.executable, "-m", "regoal.cli", "benchmark", self.suite, "--out", str(self.out)]
        with self.said.open("ab") as said:
            return subprocess.Popen(
                [*command, *self.options], stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )

    def saved(self) -> int:
        """Checkpoints so far, of all cells."""
        generations: dict[Path, int] = {}
        for path in self.out.glob("cells/*/*/*/checkpoints/0*"):
            generations[path.parent] = max(generations.get(path.parent, 0), int(path.name))
        return sum(generations.values())

    def finished(self) -> dict[Path, int]:
        """When each cell that is finished was [ns]."""
        return {path.parent: path.stat().st_mtime_ns for path in self.out.glob(f"cells/*/*/*/{DONE}")}

    def running(self) -> dict[Path, int]:
        """Processes that work on cells, as their logs tell and the system confirms."""
        found = {}
        for log in self.out.glob("cells/*/*/*.log"):
            begun = BEGUN_BY.findall(log.read_text())
            run = log.with_suffix("")
            if begun and not (run / DONE).exists() and "multiprocessing" in _command(int(begun[-1])):
                found[run] = int(begun[-1])
        return found

    def table(self) -> list[dict[str, str]]:
        """Its results, without columns that depend on the clock."""
        with (self.out / "results.csv").open(newline="") as file:
            return [
                {name: text for name, text in row.items() if not name.startswith("wall_")}
                for row in csv.DictReader(file)
            ]


def wait_until(met: Callable[[], bool], process: "subprocess.Popen[bytes]") -> bool:
    """Wait for something, or for a driver to end; whether it came.

    Raises:
        TimeoutError: neither has happened for ten minutes.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not met():
        if process.poll() is not None:
            return met()
        if time.monotonic() > end:
            raise TimeoutError("nothing has happened for ten minutes")
        time.sleep(0.02)
    return True


def short_suite(path: Path, cells: int) -> str:
    """Write a suite of so many short cells, or a few more; returns its path."""
    seeds = list(range(max(-(-cells // CELLS_A_SEED), 1)))
    path.write_text(SUITE.format(seeds=json.dumps(seeds)))
    return str(path)


class Killer:
    """Kills processes of a benchmark at moments that are spread over all that it has to do.

    Args:
        benchmark: what is killed; it has not begun.
        to_save: checkpoints that it will have in the end.
        rng: chooses moments and victims.

    Attributes:
        failures: what went wrong.
    """

    def __init__(self, benchmark: Benchmark, to_save: int, rng: random.Random) -> None:
        self.failures: list[str] = []
        self._benchmark, self._to_save, self._rng = benchmark, to_save, rng
        self._killed: Counter[Path] = Counter()
        self._finished: dict[Path, int] = {}

    def run(self, worker_kills: int, driver_kills: int) -> None:
        """Run the benchmark to its end in spite of so many kills of each kind."""
        strikes = ["worker"] * worker_kills + ["driver"] * driver_kills
        self._rng.shuffle(strikes)
        moments = sorted(self._rng.uniform(0, LAST_MOMENT) * self._to_save for _ in strikes)
        self._driver = self._benchmark.begin()
        try:
            for strike, moment in zip(strikes, moments, strict=True):
                self._strike(strike, moment)
            code = self._driver.wait(PATIENCE_SECONDS)
        finally:
            self._end_driver()
        if code != 0:
            self.failures.append(f"it ends with exit code {code}")
        self._see_that_none_ran_twice()

    def _strike(self, whom: str, moment: float) -> None:
        """Wait for a moment, and kill."""
        come = wait_until(partial(self._has_saved, moment), self._driver)
        time.sleep(self._rng.uniform(0, 0.5))
        self._finished |= self._benchmark.finished()
        if not come or self._driver.poll() is not None:
            self.failures.append(f"its driver has ended by itself ({self._driver.poll()}), {whom} to kill")
        elif whom == "worker" and not wait_until(self._kill_one, self._driver):
            self.failures.append("no cell was left to kill")
        if whom == "driver" or self._driver.poll() is not None:
            self._end_driver()
            self._driver = self._benchmark.begin()

    def _has_saved(self, checkpoints: float) -> bool:
        return self._benchmark.saved() >= checkpoints

    def _kill_one(self) -> bool:
        """End the process of a cell, or on Ray that which has begun it; whether there was one to end."""
        victims = self._victims()
        if not victims:
            return False
        run = self._rng.choice(sorted(victims))
        try:
            os.kill(self._rng.choice(_with_its_ray(victims[run])), signal.SIGKILL)
        except ProcessLookupError:
            return False  # it was quicker
        self._killed[run] += 1
        end = time.monotonic() + PATIENCE_SECONDS
        while _command(victims[run]):  # until it is gone it would be found again
            if time.monotonic() > end:
                raise TimeoutError(f"process {victims[run]} of {run} does not end")
            time.sleep(0.02)
        return True

    def _victims(self) -> dict[Path, int]:
        return {run: pid for run, pid in self._benchmark.running().items() if self._killed[run] < MOST_KILLS}

    def _end_driver(self) -> None:
        """And all that is with it."""
        if self._driver.poll() is None:
            os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.wait()

    def _see_that_none_ran_twice(self) -> None:
        now = self._benchmark.finished()
        for run, when in self._finished.items():
            if now.get(run) != when:
                self.failures.append(f"{run} was finished more than once")
        told = Counter(FINISHED.findall(self._benchmark.said.read_text()))
        self.failures += [f"{name} was said to be finished {n} times" for name, n in told.items() if n > 1]


def unlike(benchmark: Benchmark, whole: Benchmark) -> list[str]:
    """What is not the same in two benchmarks of one suite: cells lost, failed or twice, numbers, weights."""
    found = [f"{one.cell} failed: {one.error}" for one in read_failures(benchmark.out).values()]
    there, here = ({run.relative_to(one.out) for run in one.finished()} for one in (whole, benchmark))
    found += [f"{run} is lost" for run in sorted(there - here)]
    found += [f"{run} is not in the suite" for run in sorted(here - there)]
    for run in sorted(there & here):
        if parts := differences(whole.out / run, benchmark.out / run):
            found.append(f"{run}: {', '.join(parts)} differ")
    if benchmark.table() != whole.table():
        found.append("results.csv differs")
    return found


def cell_kills(folder: Path, cells: int, options: tuple[str, ...] = (), seed: int = 0) -> Tally:
    """Short cells, half as many kills of their processes and a few of the driver; the same table as in peace.

    Args:
        folder: for the two benchmarks.
        cells: 40 cells have 20 and 3 kills.
        options: of the command; two at a time on this machine if not given.
        seed: of moments and victims.
    """
    suite = short_suite(folder / "short.toml", cells)
    whole = in_peace(Benchmark(suite, folder / "whole", ("--jobs", "2")))
    killed = Benchmark(suite, folder / "killed", options or ("--jobs", "2"))
    killer = Killer(killed, whole.saved(), random.Random(seed))
    worker_kills, driver_kills = cells // 2, max(round(cells * 3 / 40), 1)
    killer.run(worker_kills, driver_kills)
    failures = killer.failures + unlike(killed, whole)
    n_cells, n_rows = len(whole.finished()), len(whole.table())
    note = f"{worker_kills} kills of workers, {driver_kills} of the driver; {n_rows} rows, all the same"
    return Tally(n_cells, failures, note if not failures else f"{worker_kills} and {driver_kills} kills")


def smoke_kills(folder: Path, kills: int, seed: int = 0) -> Tally:
    """`regoal benchmark smoke`, its whole process group killed so often and begun again."""
    whole = in_peace(Benchmark("smoke", folder / "whole", ()))
    killed = Benchmark("smoke", folder / "killed", ())
    killer = Killer(killed, whole.saved(), random.Random(seed))
    killer.run(0, kills)
    return Tally(kills, killer.failures + unlike(killed, whole), f"{len(whole.finished())} cells")


def in_peace(benchmark: Benchmark) -> Benchmark:
    """The same, run to its end.

    Raises:
        RuntimeError: it fails by itself.
    """
    code = benchmark.begin().wait()
    if code != 0:
        raise RuntimeError(f"left in peace it ends with exit code {code}: {benchmark.said.read_text()}")
    return benchmark


def _with_its_ray(pid: int) -> list[int]:
    """A process, and the worker of Ray that has begun it, if one has."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return [pid]
    return [pid, parent] if "ray::" in _command(parent) else [pid]


def _command(pid: int) -> str:
    """The command line of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""

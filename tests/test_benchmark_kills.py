"""Short cells whose processes and driver are killed: nothing lost, nothing twice, the same table."""

import random
import shutil
from pathlib import Path

import pytest

from regoal.benchmarks.benchmark import run_suite
from regoal.benchmarks.cell_run import Job, run_cell
from regoal.benchmarks.suite import load_suite
from regoal.benchmarks.torture.benchmark_kills import Benchmark, Killer, short_suite, unlike


class _InThisProcess:
    """Runs cells one after the other, where torch is loaded already."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Job]] = []

    def prepare(self, out: Path) -> None:
        assert (out / ".lock").exists(), "nobody else may begin"

    def start(self, key: str, item: Job) -> None:
        self._waiting.append((key, item))

    def begun(self, key: str) -> bool:
        return True

    def ended(self, timeout: float) -> list[tuple[str, BaseException | None]]:
        found = []
        for key, job in self._waiting:
            run_cell(job)
            found.append((key, None))
        self._waiting.clear()
        return found

    def stop(self) -> None:
        raise AssertionError("nobody asks it to")

    def kill(self, key: str) -> None:
        raise AssertionError("it is never silent")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Twelve short cells that nothing disturbed: enough that some are left to kill on a fast machine."""
    folder = tmp_path_factory.mktemp("whole")
    benchmark = Benchmark(short_suite(folder / "short.toml", 12), folder / "whole", ("--jobs", "2"))
    assert run_suite(load_suite(benchmark.suite), benchmark.out, _InThisProcess()) == 0
    assert len(benchmark.finished()) == 12
    assert benchmark.saved() >= 12 * 3
    return benchmark


def test_killed_cells_and_a_killed_driver_lose_nothing(whole: Benchmark, tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    killed = Benchmark(whole.suite, tmp_path / "killed", whole.options)
    killer = Killer(killed, whole.saved(), random.Random(seed))
    killer.run(worker_kills=4, driver_kills=3)
    assert killer.failures + unlike(killed, whole) == [], f"seed {seed}"
    assert killed.said.read_text().count("its process died (exit code -9); it goes on") >= 1


def test_what_a_kill_could_do_would_be_seen(whole: Benchmark, tmp_path: Path) -> None:
    harmed = Benchmark(whole.suite, tmp_path / "harmed", whole.options)
    shutil.copytree(whole.out, harmed.out)
    assert unlike(harmed, whole) == []
    lost, changed = sorted(harmed.finished())[:2]
    (lost / "cell.json").unlink()
    metrics = changed / "metrics.csv"
    metrics.write_text(metrics.read_text() + metrics.read_text().splitlines()[-1] + "\n")
    (harmed.out / "failures.csv").write_text("cell,error,attempts\nx,it broke,1\n")
    (harmed.out / "results.csv").write_text(
        (harmed.out / "results.csv").read_text().replace(",future,", ",none,")
    )
    assert unlike(harmed, whole) == [
        "x failed: it broke",
        f"{lost.relative_to(harmed.out)} is lost",
        f"{changed.relative_to(harmed.out)}: metrics differ",
        "results.csv differs",
    ]


def test_what_ran_twice_would_be_seen(whole: Benchmark, tmp_path: Path) -> None:
    harmed = Benchmark(whole.suite, tmp_path / "harmed", whole.options)
    shutil.copytree(whole.out, harmed.out)
    harmed.said.write_text("1/8 a/b/seed-0: success 0.50\n2/8 a/b/seed-0: success 0.50; about 1 s left\n")
    killer = Killer(harmed, 0, random.Random(0))
    killer._finished = harmed.finished()
    again = min(killer._finished)
    (again / "cell.json").write_text((again / "cell.json").read_text())
    killer._see_that_none_ran_twice()
    assert killer.failures == [
        f"{again} was finished more than once",
        "a/b/seed-0 was said to be finished 2 times",
    ]

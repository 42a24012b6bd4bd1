"""Cells on Ray clusters of this machine, whose nodes leave, freeze or do not fit: nothing lost or twice."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.torture.benchmark_kills import (
    PATIENCE_SECONDS,
    Benchmark,
    Killer,
    in_peace,
    short_suite,
    unlike,
    wait_until,
)
from regoal.benchmarks.torture.ray_kills import STORE_BYTES, two_nodes
from regoal.cli import main

pytestmark = pytest.mark.ray

LONG = """
name = "long"
seeds = [0, 1]
steps = 4_000
eval_interval = 1_000
eval_episodes = 2
[grid]
env = ["regoal/PointReach-v0"]
[settings]
agent.hidden = [16]
agent.batch_size = 16
checkpoint_interval = 200
"""
# A node is taken for lost two seconds after its last sign of life, and not after half a minute.
IMPATIENT = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 4,
}


@pytest.fixture(scope="module", autouse=True)
def _ray_is_installed() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make test-ray")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """Eight short cells, one at a time on this machine."""
    folder = tmp_path_factory.mktemp("whole")
    suite = short_suite(folder / "short.toml", 8)
    return in_peace(Benchmark(suite, folder / "whole", ("--jobs", "1")))


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that makes an env of deadly_envs.py do its deed as often as it has bytes; it has none."""
    path = tmp_path_factory.mktemp("deadly") / "deadly"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEADLY_FILE", str(path))
        yield path


@pytest.fixture(scope="module")
def cluster(deadly: Path) -> Iterator[Any]:
    """Two nodes, whose processes have the environment of this one as it is here."""
    with two_nodes() as cluster:
        yield cluster


def on_ray(cluster: Any, suite: str, out: Path, *options: str) -> Benchmark:
    return Benchmark(suite, out, ("--launcher", "ray", "--address", cluster.address, *options))


def raylet_of(node: Any) -> int:
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


def descendants(pid: int) -> list[int]:
    """A process and all that it has begun, as far as they run."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cells_on(node: Any, benchmark: Benchmark) -> dict[Path, int]:
    """Cells that run on a node, and their processes."""
    there = descendants(raylet_of(node))
    return {run: pid for run, pid in benchmark.running().items() if pid in there}


def test_local_with_one_job_and_two_and_ray_give_the_same_table_though_a_node_leaves(
    whole: Benchmark, tmp_path: Path
) -> None:
    two_jobs = in_peace(Benchmark(whole.suite, tmp_path / "two-jobs", ("--jobs", "2")))
    assert unlike(two_jobs, whole) == []
    with two_nodes() as cluster:
        benchmark = on_ray(cluster, whole.suite, tmp_path / "ray")
        driver = benchmark.begin()
        (node,) = cluster.worker_nodes
        assert wait_until(lambda: benchmark.saved() >= whole.saved() // 4, driver)
        assert wait_until(lambda: bool(cells_on(node, benchmark)), driver)
        lost = cells_on(node, benchmark)
        cluster.remove_node(node, allow_graceful=False)
        assert driver.wait(timeout=PATIENCE_SECONDS) == 0
    (cell,) = lost
    said = benchmark.said.read_text()
    assert f"{cell.relative_to(benchmark.out / 'cells')}: its node is lost; it goes on" in said
    assert "8 of 8 cells finished" in said
    assert unlike(benchmark, whole) == []
    assert (benchmark.out / "report.html").exists()


def test_killed_cells_killed_workers_of_ray_and_killed_drivers_lose_nothing(
    cluster: Any, whole: Benchmark, tmp_path: Path
) -> None:
    seed = random.randrange(10_000)
    benchmark = on_ray(cluster, whole.suite, tmp_path / "killed")
    killer = Killer(benchmark, whole.saved(), random.Random(seed))
    killer.run(worker_kills=5, driver_kills=2)
    assert killer.failures + unlike(benchmark, whole) == [], f"seed {seed}"
    assert "goes on from its checkpoint" in benchmark.said.read_text()


def test_a_cell_of_a_node_that_is_lost_and_lives_on_is_written_by_one_process(tmp_path: Path) -> None:
    suite = tmp_path / "long.toml"
    suite.write_text(LONG)
    whole = in_peace(Benchmark(str(suite), tmp_path / "whole", ("--jobs", "2")))
    with two_nodes(_system_config=IMPATIENT) as cluster:
        benchmark = on_ray(cluster, str(suite), tmp_path / "ray")
        driver = benchmark.begin()
        (node,) = cluster.worker_nodes
        assert wait_until(lambda: bool(cells_on(node, benchmark)), driver)
        ((cell, old),) = cells_on(node, benchmark).items()
        assert wait_until(lambda: len(list(cell.glob("checkpoints/0*"))) >= 2, driver)
        frozen = descendants(raylet_of(node))
        assert old in frozen
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        log = cell.with_suffix(".log")
        assert wait_until(lambda: "waiting for the lock" in log.read_text(), driver)
        before = {path: path.stat().st_mtime_ns for path in cell.rglob("*")}
        time.sleep(2)
        assert {path: path.stat().st_mtime_ns for path in cell.rglob("*")} == before
        assert f"held by process {old} on" in log.read_text()
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        assert driver.wait(timeout=PATIENCE_SECONDS) == 0
    assert "its node is lost; it goes on" in benchmark.said.read_text()
    assert "[[resumed]]" in (cell / "run.toml").read_text(), "the old process did not finish it"
    assert unlike(benchmark, whole) == []


def test_a_benchmark_without_nodes_waits_for_one_to_join(whole: Benchmark, tmp_path: Path) -> None:
    with two_nodes(num_cpus=0) as cluster:  # the head runs no cells
        benchmark = on_ray(cluster, whole.suite, tmp_path / "ray")
        driver = benchmark.begin()
        assert wait_until(lambda: benchmark.saved() >= whole.saved() // 3, driver)
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)
        assert wait_until(lambda: "waiting for one to join" in benchmark.said.read_text(), driver)
        cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
        assert driver.wait(timeout=PATIENCE_SECONDS) == 0
    assert unlike(benchmark, whole) == []


def test_a_stop_reaches_every_node_and_the_same_command_goes_on(cluster: Any, tmp_path: Path) -> None:
    suite = tmp_path / "long.toml"
    suite.write_text(LONG)
    benchmark = on_ray(cluster, str(suite), tmp_path / "out")
    driver = benchmark.begin()
    assert wait_until(lambda: len(list(benchmark.out.glob("cells/*/*/*/checkpoints/000002"))) == 2, driver)
    driver.terminate()
    assert driver.wait(timeout=PATIENCE_SECONDS) == 143
    assert "stopped; the same command goes on" in benchmark.said.read_text()
    logs = [path.read_text() for path in benchmark.out.glob("cells/*/*/*.log")]
    assert ["Stopped: stopped; what was learned is in" in log for log in logs] == [True, True]
    assert benchmark.running() == {}
    assert read_rows(benchmark.out / "failures.csv") == []
    driver = benchmark.begin()
    assert wait_until(lambda: len(benchmark.running()) == 2, driver)
    left = benchmark.running()
    driver.kill()  # and what it has begun elsewhere ends
    assert driver.wait() == -signal.SIGKILL
    end = time.monotonic() + 30
    while benchmark.running():
        assert time.monotonic() < end, f"{left} outlive their driver"
        time.sleep(0.1)
    assert benchmark.finished() == {}
    assert benchmark.begin().wait(timeout=PATIENCE_SECONDS) == 0


def test_a_cell_that_hangs_on_a_node_is_ended_and_goes_on(
    cluster: Any, deadly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the driver's path leads to the module of its env. What waits for a CPU is not silent."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    deadly.write_text("xx")
    text = LONG.replace("4_000", "200").replace("[0, 1]", "[0, 1, 2]")
    suite = tmp_path / "hang.toml"
    suite.write_text(text.replace("regoal/PointReach", "deadly_envs:deadly/Hang"))
    options = ("--modules", "deadly_envs", "--silent-seconds", "15", "--jobs", "3")
    benchmark = on_ray(cluster, str(suite), tmp_path / "out", *options)
    assert benchmark.begin().wait(timeout=PATIENCE_SECONDS) == 0, benchmark.said.read_text()
    told = "it said nothing for 15 s; it goes on from its checkpoint"
    assert benchmark.said.read_text().count(told) == 2
    assert len(benchmark.finished()) == 3


def test_a_node_that_does_not_see_the_folder_is_refused_or_gets_nothing(
    tmp_path: Path, whole: Benchmark
) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    shared = tmp_path / "shared"
    shared.mkdir()
    try:
        benchmark = on_ray(cluster, whole.suite, shared / "late")
        driver = benchmark.begin()
        assert wait_until(lambda: bool(benchmark.running()), driver)
        with _blind_node(cluster, shared):
            assert driver.wait(timeout=PATIENCE_SECONDS) == 0
            said = benchmark.said.read_text()
            assert said.count("It gets no cells.") == 1, said
            assert unlike(benchmark, whole) == []
            refused = on_ray(cluster, whole.suite, shared / "refused")
            assert refused.begin().wait(timeout=PATIENCE_SECONDS) == 2
        error = refused.said.read_text()
        assert f"expected the same folder {refused.out} as on {os.uname().nodename}, got" in error
        assert "Share it between all nodes under one path" in error
        assert not list(refused.out.glob("cells/*"))
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def _blind_node(cluster: Any, hidden: Path) -> Iterator[None]:
    """A node of a cluster that has a folder of its own where others have a shared one."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("file systems cannot be mounted here")
    ray = Path(sys.executable).with_name("ray")
    start = (
        f"{ray} start --block --address={cluster.address} --num-cpus=1 --object-store-memory={STORE_BYTES}"
    )
    script = f"mount -t tmpfs none {hidden} && exec {start}"
    node = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script], start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        for pid in reversed(descendants(node.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()


def test_a_dry_run_counts_the_cpus_of_the_cluster(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.toml").write_text(LONG)
    command = ["benchmark", "long.toml", "--launcher", "ray", "--address", cluster.address, "--dry-run"]
    assert main(command) == 0
    assert "with 2 jobs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [tmp_path / "long.toml"]

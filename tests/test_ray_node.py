"""What runs on a node of a cluster, without Ray: does the node fit, and a cell that is stopped and killed."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from regoal import BadInput
from regoal.agent.interrupts import Stopped
from regoal.agent.run_lock import RunLock, holder_of
from regoal.benchmarks.benchmark import MOST_LOSSES
from regoal.benchmarks.cell_run import Job
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.parallel import ProcessDied
from regoal.benchmarks.ray_launcher import LOCK_SECONDS, RayCells
from regoal.benchmarks.ray_node import CellOnNode, Ground, NodeUnfit, ground_of, unfit
from regoal.benchmarks.suite import parse_suite
from regoal.benchmarks.torture.benchmark_kills import Benchmark
from regoal.cli import main

ENDLESS = """
name = "endless"
seeds = [0]
steps = 100_000_000
eval_interval = 100_000
[grid]
env = ["regoal/PointReach-v0"]
[settings]
agent.hidden = [8]
agent.batch_size = 8
checkpoint_interval = 100
capacity = 1_000
"""
# A node's process of Ray that is killed, and what it has begun.
RAYLET = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1], *sys.argv[2:]]).wait()"
WORKER = """
import sys
from pathlib import Path
from test_ray_node import endless
from regoal.benchmarks.ray_node import CellOnNode, ground_of
CellOnNode(ground_of(Path(sys.argv[1]))).run(endless(Path(sys.argv[1])))
"""


def endless(out: Path) -> Job:
    (cell,) = cells_of(parse_suite(tomllib.loads(ENDLESS), "endless.toml"), out)
    return Job(cell, {})


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with RunLock(tmp_path):
        yield ground_of(tmp_path)


def _reason(ground: Ground) -> str:
    found = unfit(ground)
    assert isinstance(found, NodeUnfit)
    return str(found.reason)


def test_a_node_fits_that_sees_the_folder_its_lock_and_the_same_packages(ground: Ground) -> None:
    assert unfit(ground) is None
    host = os.uname().nodename
    assert ground.holder == f"process {os.getpid()} on {host}"
    other = dataclasses.replace(ground, versions=ground.versions | {"torch": "1.0"})
    assert f"node {host}: expected torch 1.0, as on {host}, got 2" in _reason(other)


def test_a_node_without_the_folder_does_not_fit(ground: Ground, tmp_path: Path) -> None:
    there = dataclasses.replace(ground, folder=str(tmp_path / "elsewhere"))
    assert "expected the same folder" in _reason(there)
    assert "No such file" in _reason(there)
    (tmp_path / "elsewhere").mkdir()
    assert "Share it between all nodes under one path" in _reason(there)
    with RunLock(tmp_path / "elsewhere"):
        of_another = dataclasses.replace(there, holder="process 1 on nowhere")
        assert f"as on nowhere, got one that {ground.holder} works on" in _reason(of_another)


def test_a_node_that_could_take_a_lock_that_is_held_elsewhere_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 7 on head\n")  # as where locks do not reach other machines
    ground = ground_of(tmp_path)
    told = _reason(ground)
    assert (
        "expected file locks that hold between machines, got one that is held, and free here: process" in told
    )


@pytest.fixture
def cell_on_node(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> CellOnNode:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return CellOnNode(ground)


def _run(one: CellOnNode, job: Job) -> tuple[threading.Thread, list[BaseException | None]]:
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(one.run(job)))
    thread.start()
    return thread, outcome


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


def test_a_cell_is_killed_and_goes_on_and_is_stopped(
    ground: Ground, cell_on_node: CellOnNode, tmp_path: Path
) -> None:
    job = endless(tmp_path)
    thread, outcome = _run(cell_on_node, job)
    _wait_for(job.cell.path / "checkpoints" / "000001")
    cell_on_node.kill()
    thread.join(timeout=30)
    assert isinstance(outcome[0], ProcessDied)
    again = CellOnNode(ground)
    thread, outcome = _run(again, job)
    newest = max(int(path.name) for path in job.cell.path.glob("checkpoints/0*"))
    _wait_for(job.cell.path / "checkpoints" / f"{newest + 2:06}")
    again.stop()
    thread.join(timeout=30)
    assert isinstance(outcome[0], Stopped)
    assert outcome[0].signal == signal.SIGTERM
    assert "[[resumed]]" in (job.cell.path / "run.toml").read_text()


def test_nothing_is_begun_on_a_node_that_does_not_fit(ground: Ground, tmp_path: Path) -> None:
    job = endless(tmp_path)
    one = CellOnNode(dataclasses.replace(ground, holder="process 1 on nowhere"))
    assert isinstance(one.run(job), NodeUnfit)
    assert not job.cell.path.exists()


def test_a_cell_ends_with_the_ray_of_its_node(ground: Ground, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RAYLET, WORKER, str(tmp_path)]
    here = str(Path(__file__).parent)
    raylet = subprocess.Popen(command, cwd=here, start_new_session=True)
    try:
        job, benchmark = endless(tmp_path), Benchmark("", tmp_path, ())
        _wait_for(job.cell.path / "checkpoints" / "000001")
        assert set(benchmark.running()) == {job.cell.path}
        raylet.kill()
        raylet.wait()
        end = time.monotonic() + 30
        while benchmark.running():
            assert time.monotonic() < end, "it goes on"
            time.sleep(0.1)
        while holder_of(job.cell.path)[1]:  # it is let go of last of all
            assert time.monotonic() < end, "it holds its lock"
            time.sleep(0.1)
    finally:
        for pid in benchmark.running().values():
            os.kill(pid, signal.SIGKILL)


def test_the_users_modules_come_last_on_a_node(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray puts the folder of the command first, where a `numpy.py` would be taken for NumPy."""
    monkeypatch.setattr(sys, "path", [os.getcwd(), "/packages"])
    CellOnNode(dataclasses.replace(ground, imported_from=("/packages", "/mine", os.getcwd())))
    assert sys.path == ["/packages", "/mine", os.getcwd()]
    assert not [folder for folder in ground.imported_from if Path(folder).is_relative_to(sys.base_prefix)]


def test_the_guide_says_how_patient_a_benchmark_is() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text()
    assert "each up to nine times" in guide
    assert MOST_LOSSES["lost its node"] == 1 + 9
    assert "for up to five minutes" in guide
    assert LOCK_SECONDS == 5 * 60


# The command line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--launcher rya", "launcher: expected local or ray, got 'rya'. Did you mean ray?"),
        ("--address head:6379", "address: expected none, as cells run on this machine, got 'head:6379'."),
        ("--launcher ray --address ray://head:10001", "address: expected auto, or HOST:PORT of a cluster's"),
        ("--launcher ray --address head", "got 'head'. Start the benchmark on a node of the cluster"),
        ("--launcher ray --address 127.0.0.1:1", "expected a cluster that answers, got 127.0.0.1:1 ("),
        ("--launcher ray --address 127.0.0.1:99999", "a cluster that answers, got 127.0.0.1:99999 ("),
    ],
)  # fmt: skip
def test_launchers_and_addresses_that_cannot_be_meant_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))  # whether it is installed or not
    out = tmp_path / "out"
    assert main(["benchmark", "smoke", "--out", str(out), *options.split()]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_ray_that_is_not_installed_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["benchmark", "smoke", "--out", str(tmp_path / "out"), "--launcher", "ray"]) == 2
    assert 'pip install -c constraints.txt -e ".[ray]" in the clone' in capsys.readouterr().err
    with pytest.raises(BadInput, match="out: expected an absolute path"):
        RayCells("auto").prepare(Path("runs"))


def test_only_who_uses_ray_loads_it() -> None:
    code = (
        "import sys, regoal.cli, regoal.benchmarks.ray_launcher; "
        "print([name for name in ('ray', 'torch', 'mujoco') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

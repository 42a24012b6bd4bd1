"""Disks that are full or read-only, limits of the system, two processes, torn files: what was there stays."""

import contextlib
import csv
import importlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import tracemalloc  # noqa: F401  (pytest needs it to tell of threads, when no file can be opened any more)
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_resume import config, outcome

from regoal import BadInput, Policy, resume, train
from regoal.agent import loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.benchmarks.curves import read_curve
from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.torture.children import Child, train_aloud
from regoal.benchmarks.torture.damage import unfinished_run
from regoal.benchmarks.torture.kills import leftovers
from regoal.cli import main
from regoal.errors import SaveFault

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unfinished_run(tmp_path_factory.mktemp("disk") / "run")


@pytest.fixture
def run(tmp_path: Path, unfinished: Path) -> Path:
    shutil.copytree(unfinished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder that everybody may enter, in a process to which read-only folders are read-only."""
    main(["settings"])  # imports what commands need: whoever has no rights may not read that either
    importlib.import_module("regoal.benchmarks.parallel")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


@contextlib.contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def read_only(folder: Path, yes: bool = True) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o555 if yes else 0o755)


FULL_DISK = """
import sys
from pathlib import Path
from regoal import BadInput, DDPGConfig, Policy, TrainConfig, resume, train
from regoal.benchmarks.torture.kills import leftovers
from regoal.errors import SaveFault

disk = Path(sys.argv[1])
run, filler = disk / "run", disk / "filler"
options = dict(agent=DDPGConfig(hidden=(64, 64), batch_size=16), eval_episodes=1, workers=0)
options |= dict(checkpoint_interval=100, keep_replay=True)
for attempt in (1, 2, 3):  # a disk that stays full costs nothing that was learned
    try:
        if attempt == 1:
            filler.write_bytes(bytes(1_400_000))
            train(TrainConfig(env="regoal/PointReach-v0", out=str(run), steps=400, **options))
        else:
            resume(run)
    except SaveFault as fault:
        assert "No space left on device" in str(fault), fault
        assert f"free space, and `regoal resume {run}`" in str(fault), fault
    else:
        raise SystemExit("the disk was not full")
    Policy.load(run)
    left = leftovers(run)
    assert not [one for one in left if "is left" in one or "missing" in one], left
filler.unlink()
resume(run)
assert leftovers(run) == [], leftovers(run)
print("resumed")
"""


def test_a_full_disk_ends_the_run_which_goes_on_when_there_is_space(tmp_path: Path) -> None:
    disk, script = tmp_path / "disk", tmp_path / "script.py"
    disk.mkdir()
    script.write_text(FULL_DISK)
    mounted = f"mount -t tmpfs -o size=2m tmpfs {disk} && exec {sys.executable} {script} {disk}"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no disk of its own to a process")
    done = subprocess.run([*unshare, mounted], capture_output=True, text=True)
    assert done.stdout == "resumed\n", done.stderr


def test_episodes_that_cannot_be_written_never_cost_the_last_whole_checkpoint(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr("regoal.agent.experience.write_segments", full)
        for _ in range(3):
            with pytest.raises(SaveFault, match="free space"):
                resume(run)
    with pytest.warns(UserWarning, match="not all its episodes could be saved"):
        resume(run)
    assert newest_checkpoint(run).state["progress"]["run"]["env_steps"] == 600
    assert leftovers(run) == []


@pytest.mark.parametrize("most", [300, 2_000, 4_000])
def test_files_that_may_not_grow_end_the_run_which_goes_on_later(run: Path, most: int) -> None:
    with limited(resource.RLIMIT_FSIZE, most), pytest.raises(SaveFault, match=r"File too large.*ulimit -f"):
        resume(run)
    assert Policy.load(run)
    assert not list(run.rglob(".*"))
    resume(run)
    assert leftovers(run) == []


# TensorBoard writes in a thread of its own, which tells of its errors twice.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_without_open_files_a_run_says_so_and_goes_on_later(run: Path, workers: int) -> None:
    free = [number for number in range(3, 400) if not os.path.exists(f"/proc/self/fd/{number}")]
    told: list[str] = []
    for most in free[1:9]:
        with limited(resource.RLIMIT_NOFILE, most):
            try:
                resume(run, workers=workers)
                break
            except BadInput as error:  # or one of its kinds
                told.append(str(error))
        assert Policy.load(run)
    assert len(told) >= 3
    assert all("Too many open files" in one and "ulimit -n" in one for one in told), told
    with contextlib.suppress(BadInput):  # it has gone on already
        resume(run)
    assert newest_checkpoint(run).state["progress"]["run"]["env_steps"] == 600


# Whoever has no rights here may not even read the presets that come with the package.
PLAIN = ["--workers", "0", "--preset", "none"]


def test_a_read_only_run_is_read_and_not_resumed(
    powerless: Path, unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = unfinished_run(powerless / "run")
    read_only(run)
    assert main(["resume", str(run)]) == 2
    assert "Make it writable" in capsys.readouterr().err
    assert Policy.load(run)
    assert main(["train", "regoal/PointReach-v0", "--out", str(run / "more"), *PLAIN]) == 2
    assert "a folder that can be made" in capsys.readouterr().err
    (run / "checkpoints").chmod(0o000)
    with pytest.raises(BadInput, match="Permission denied"):
        Policy.load(run)


def test_a_folder_that_becomes_read_only_ends_the_run_with_exit_code_1(
    powerless: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save, run, saves = loop.Training._save, powerless / "run", 0

    def closing(self: loop.Training, **options: bool) -> None:
        nonlocal saves
        saves += 1
        read_only(run, saves > 2)
        save(self, **options)

    monkeypatch.setattr(loop.Training, "_save", closing)
    quick = [*PLAIN, "--steps", "400", "--keep-replay", "--set", "checkpoint_interval=100"]
    assert main(["train", "regoal/PointReach-v0", "--out", str(run), *quick]) == 1
    assert f"make it writable, and `regoal resume {run}`" in capsys.readouterr().err
    assert newest_checkpoint(run).state["progress"]["run"]["env_steps"] == 100
    monkeypatch.undo()
    read_only(run, False)
    assert main(["resume", str(run)]) == 0
    assert leftovers(run) == []


def test_a_second_process_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    child = Child(train_aloud, config(run), True, log=tmp_path / "log")
    while child.told() != ("saved", 0):
        pass
    with pytest.raises(BadInput, match=f"held by process {child.pid}"):
        resume(run)
    with pytest.raises(BadInput, match="Runs are never overwritten"):
        train(config(run))
    child.connection.send("go on")
    assert child.ended() == 0
    assert newest_checkpoint(run).state["progress"]["run"]["env_steps"] == config(run).steps
    assert leftovers(run) == []


def test_a_torn_last_line_is_left_out_by_readers_and_rewritten_by_resume(
    run: Path, tmp_path: Path, unfinished: Path
) -> None:
    whole = read_rows(run / "metrics.csv")
    assert len(whole) == 3
    with (run / "metrics.csv").open("ab") as file:
        file.write(b"450,225,9,0,0,0.\xe2\x82")  # it ends within a character
    assert read_rows(run / "metrics.csv") == whole
    assert read_curve([run]).steps.tolist() == [int(row["env_steps"]) for row in whole]
    resume(run)
    resume_whole = tmp_path / "whole"
    shutil.copytree(unfinished, resume_whole)
    resume(resume_whole)
    assert outcome(run)["metrics"] == outcome(resume_whole)["metrics"]


@pytest.mark.parametrize("left", [0, 10, 400])
def test_rows_that_were_lost_are_told_and_none_is_torn(run: Path, left: int) -> None:
    """As after a power failure on a disk that had not written what it said."""
    contents = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(contents[:left])
    with pytest.warns(UserWarning, match="bytes are missing"):
        resume(run)
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["env_steps"] == "600"
    for row in rows:
        assert len(row) == contents.decode().partition("\n")[0].count(",") + 1
        assert None not in row
        assert None not in row.values()
        float(row["success"])


def test_a_curve_of_a_run_without_an_evaluation_is_refused(run: Path) -> None:
    header = (run / "metrics.csv").read_bytes().partition(b"\n")[0]
    (run / "metrics.csv").write_bytes(header)
    with pytest.raises(BadInput, match="was not yet"):
        read_curve([run])


def test_what_a_killed_process_left_beside_the_settings_goes_with_the_next_change(run: Path) -> None:
    (run / ".config-99999.toml").write_text("steps = ")
    (run / ".lock").write_text("process 99999 on another machine\n")
    resume(run, steps=700)
    assert leftovers(run) == []
    assert not (run / ".lock").exists()

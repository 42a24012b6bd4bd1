"""All that is shown can be measured again, part by part; what is finished is not run again."""

import csv
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regoal.agent.interrupts import StopRequest
from regoal.agent.run_lock import RunLock
from regoal.benchmarks import benchmark_folder, parts, published
from regoal.benchmarks.benchmark import named
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.parts import PARTS, Part, main
from regoal.benchmarks.suite import load_suite
from regoal.benchmarks.tables import read_rows
from regoal.errors import BadInput

COMMANDS = [command for part in PARTS.values() for command in part.commands]
ROOT = Path(__file__).parents[1]
MODULES = [command for command in COMMANDS if command.startswith("regoal.benchmarks.")]
SUITES = {command.split()[2] for command in COMMANDS if command not in MODULES}

SCRIPT = """
import sys
from pathlib import Path
out, wanted = Path(sys.argv[1]), int(sys.argv[2])
calls = out / "calls"
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
if len(calls.read_text()) < wanted:
    sys.exit(143)
(out / "found.csv").write_text("found")
"""


@pytest.fixture
def _hand_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hand_made_part.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    part = Part(("hand_made_part {out} 2",), (("found.csv", "shown.csv"),))
    monkeypatch.setattr(parts, "PARTS", {"first": part})


@pytest.mark.usefixtures("_hand_made")
def test_a_part_goes_on_until_it_is_finished_and_then_rests(tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "results"
    command = ["--out", str(out), "--results", str(results)]
    assert main(command) == 2  # a folder of results must be there
    results.mkdir()
    assert main(command) == 143
    assert not (results / "parts.csv").exists()
    assert float((out / "first.seconds").read_text()) > 0
    (out / "first.seconds").write_text("100.0")
    assert main(command) == 0
    (row,) = read_rows(results / "parts.csv")
    assert row["part"] == "first"
    assert float(row["seconds"]) >= 100  # of both sittings
    assert not (out / "first.seconds").exists()  # to measure it again is to begin anew
    assert (results / "shown.csv").read_text() == "found"
    assert main(command) == main([*command, "first"]) == 0
    assert (out / "calls").read_text() == "xx"


@pytest.mark.usefixtures("_hand_made")
def test_a_part_goes_on_from_the_table_among_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for its own runs, which are to be measured, and it takes no published ones away."""
    calls: list[str] = []
    monkeypatch.setattr(parts, "_call", lambda command, stop: calls.append(" ".join(command[2:])) or 0)
    files = (("found.csv", "transfer-push.csv"), ("found.png", "transfer-push.png"))
    part = Part(("hand_made_part",), files, "transfer-push", "friction=0.3/future-naive/seed-1")
    monkeypatch.setattr(parts, "PARTS", {"first": part})
    out, table = tmp_path / "out", tmp_path / "transfer-push.csv"
    command, known = (
        ["first", "--out", str(out), "--results", str(tmp_path)],
        out / ".known-transfer-push.csv",
    )
    before = (ROOT / "benchmarks" / "results" / "transfer-push.csv").read_text()
    out.mkdir()
    (out / "found.png").write_text("new")
    own = ["FetchPush-v4 friction=0.3", "future-naive", "1"]
    lines = list(csv.reader(before.splitlines()))
    (out / "found.csv").write_text(before)
    assert main(command) == 0  # nothing is published yet
    assert table.read_text() == before
    (out / "parts.csv").unlink()
    (tmp_path / "parts.csv").unlink()
    # A row of another machine in place of a run is measured; what was run here stays.
    cells = {one.name: one for one in cells_of(load_suite("transfer-push"), out / "transfer-push")}
    taken, run = cells[f"FetchPush-v4_{part.only}"], cells["FetchPush-v4_friction=0.3/future-naive/seed-2"]
    for cell in (taken, run):
        cell.path.mkdir(parents=True)
        (cell.path / "cell.json").write_text(json.dumps({"config_hash": cell.config_hash}))
    (out / "found.csv").write_text("\n".join(before.splitlines()[:50]) + "\n")
    (out / "found.png").write_text("newer")
    assert main(command) == 0
    assert calls == ["hand_made_part --retry", f"hand_made_part --retry --known {known}"]
    left = [line for line in lines if [line[1], line[2], line[8]] != own]
    assert 0 < len(left) < len(lines)
    assert list(csv.reader(known.read_text().splitlines())) == left
    assert (taken.path.exists(), run.path.exists()) == (False, True)
    assert "stays as it is" in capsys.readouterr().err
    assert not (out / "parts.csv").exists()  # it was not published, and will be
    assert not (tmp_path / "parts.csv").exists()
    assert (table.read_text(), (tmp_path / "transfer-push.png").read_text()) == (before, "new")


def test_a_published_file_is_whole_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_text("ne")
        raise OSError("No space left on device")

    (tmp_path / "new").write_text("new")
    (tmp_path / "shown").write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            published.replace_file(tmp_path / "new", tmp_path / "shown")
    assert (tmp_path / "shown").read_text() == "old"
    published.replace_file(tmp_path / "new", tmp_path / "shown")
    assert (tmp_path / "shown").read_text() == "new"


def test_runs_are_not_taken_from_a_benchmark_that_goes_on(tmp_path: Path) -> None:
    suite, only = "transfer-push", "friction=0.3/future-naive/seed-1"
    cells = {one.name: one for one in cells_of(load_suite(suite), tmp_path / suite)}
    taken = cells[f"FetchPush-v4_{only}"]
    taken.path.mkdir(parents=True)
    (taken.path / "cell.json").write_text(json.dumps({"config_hash": taken.config_hash}))
    with RunLock(tmp_path / suite), pytest.raises(BadInput, match="held by"):
        published.of_others(suite, only, tmp_path, ROOT / "benchmarks" / "results")
    assert taken.path.exists()


def test_a_published_table_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "PARTS", {"first": Part(("hand_made_part",), suite="transfer-push")})
    monkeypatch.setattr(parts, "_call", lambda command, stop: pytest.fail("started"))
    (tmp_path / "transfer-push.csv").write_text("what,else\n1,2\n")
    assert main(["first", "--out", str(tmp_path / "out"), "--results", str(tmp_path)]) == 2
    assert "expected the columns suite, task, arm" in capsys.readouterr().err


def test_what_had_to_wait_for_others_is_published_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: set[str] = set()
    calls: list[str] = []

    def run(name: str, *others: object) -> int:
        calls.append(name)
        if name == "last" or "last" in done:
            done.add(name)
        return 0

    monkeypatch.setattr(parts, "run", run)
    monkeypatch.setattr(parts, "finished", lambda out: set(done))
    monkeypatch.setattr(parts, "PARTS", dict.fromkeys(["first", "last"], Part((), suite="one")))
    command = ["--out", str(tmp_path), "--results", str(tmp_path)]
    assert main(command) == 0
    assert calls == ["first", "last", "first"]
    done.clear()
    assert main([*command, "first"]) == 0  # alone it is not tried twice
    assert calls[3:] == ["first"]
    monkeypatch.setattr(parts, "PARTS", {"first": Part((), suite="one"), "last": Part((), suite="other")})
    monkeypatch.setattr(parts, "finished", lambda out: set())
    assert main(command) == 0  # nothing has come that it could have waited for
    assert calls[4:] == ["first", "last"]


@pytest.mark.usefixtures("_hand_made")
def test_a_stop_between_commands_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(command: object, stop: StopRequest) -> int:
        calls.append(command)
        signal.raise_signal(signal.SIGINT)
        return 0

    calls: list[object] = []
    monkeypatch.setattr(parts, "PARTS", {"first": Part(("hand_made_part", "hand_made_part"))})
    monkeypatch.setattr(parts, "_call", stopped)
    assert main(["--out", str(tmp_path), "--results", str(tmp_path)]) == 130
    assert len(calls) == 1
    assert not (tmp_path / "parts.csv").exists()


WAITING = """
import signal, sys, time
from pathlib import Path
def told(number, frame):
    Path(sys.argv[1], "told").write_text(str(number))
    sys.exit(143)
signal.signal(signal.SIGTERM, told)
Path(sys.argv[1], "waits").write_text("")
time.sleep(60)
"""
RUN = """
import sys
from regoal.benchmarks import benchmark_folder, parts
parts.PARTS = {name: parts.Part(("waiting_part {out}",)) for name in ("first", "second")}
sys.exit(parts.main(["--out", sys.argv[1], "--results", sys.argv[1]]))
"""


def test_a_stop_is_passed_on_and_no_other_part_begins(tmp_path: Path) -> None:
    (tmp_path / "waiting_part.py").write_text(WAITING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "waits").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 143
    assert (tmp_path / "told").read_text() == str(int(signal.SIGTERM))
    assert "first: ended with exit code 143; the same command goes on" in told
    assert "second" not in told


def test_results_that_were_written_do_not_make_a_commit_dirty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, code = tmp_path / "benchmarks" / "results" / "a.csv", tmp_path / "benchmarks" / "a.py"
    table.parent.mkdir(parents=True)
    table.write_text("1")
    code.write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@a"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(benchmark_folder, "__file__", str(code))
    clean = benchmark_folder.commit()
    table.write_text("2")
    assert len(clean) == 12
    assert benchmark_folder.commit() == clean
    code.write_text("2")
    assert benchmark_folder.commit() == f"{clean}-dirty"


def test_what_there_is_is_listed_and_others_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--out", "nowhere"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PARTS)
    assert main(["raech"]) == 2
    assert "Did you mean reach" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(set(MODULES)))
def test_the_options_of_a_part_are_those_of_its_module(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, *words = command.split()
    monkeypatch.setattr("sys.argv", [module, "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module(module).main()
    told = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in told] == []


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_parts_of_a_suite_are_all_of_it(suite: str, tmp_path: Path) -> None:
    cells = cells_of(load_suite(suite), tmp_path)
    commands = [command.split() for command in COMMANDS if f"benchmark {suite} " in command]
    texts = [words[words.index("--only") + 1] if "--only" in words else "" for words in commands]
    assert set().union(*(named(cells, text) for text in texts)) == {cell.name for cell in cells}


def test_a_part_that_was_not_timed_has_the_minutes_of_its_runs_if_all_are_there() -> None:
    runs = [("FetchPush-v4", "push", str(seed)) for seed in range(3)] + [("FetchSlide-v4", "slide", "1")]
    learned = [
        {"env": env, "preset": preset, "seed": seed, "wall_seconds": seconds, "test_success": success}
        for env, preset, seed in runs
        for seconds, success in (("30.0", ""), ("90.0", "0.5"))
    ]
    timed = [{"part": "reach", "seconds": "1234", "cores": "2", "commit": "abc"}]
    lines = parts.as_markdown(timed, learned).splitlines()[2:]
    minutes = {
        name: time for _, name, time, *_ in ([cell.strip() for cell in row.split("|")] for row in lines)
    }
    assert list(minutes) == list(PARTS)
    told = {name: time for name, time in minutes.items() if time != "not timed yet"}
    assert told == {
        "reach": "20.6",
        "learning-push": "4.5 by its runs",
        "learning-slide-1": "1.5 by its runs",
    }
    learned = [row for row in learned if row["seed"] != "2"]
    assert "| learning-push | not timed yet |" in parts.as_markdown(timed, learned)


def test_the_guide_shows_how_long_parts_took() -> None:
    rows, learned = (
        read_rows(ROOT / "benchmarks" / "results" / f"{name}.csv") for name in ("parts", "learning")
    )
    assert parts.as_markdown(rows, learned) in (ROOT / "docs" / "benchmarks.md").read_text()
    # Parts that are seeds of the same are as long as the quickest: others had more beside them.
    quickest: dict[str, float] = {}
    for row in rows:
        same = row["part"].rstrip("0123456789")
        quickest[same] = min(float(row["seconds"]), quickest.get(same, math.inf))
    assert max(quickest.values()) <= 3_600

"""`regoal benchmark` as a user types it: killed, stopped, gone on with, and the same table every time."""

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from regoal.agent import trust
from regoal.agent.run_lock import RunLock
from regoal.benchmarks import benchmark
from regoal.benchmarks.results import COLUMNS, read_results
from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.torture.benchmark_kills import Benchmark, wait_until
from regoal.cli import main

TINY = """
name = "tiny"
seeds = [4]
steps = 500
eval_interval = 100
eval_episodes = 3
[pretrain]
steps = 400
[grid]
env = ["regoal/PointReach-v0"]
shift = ["action_gain=0.5"]
relabel = ["future"]
mode = ["replay_mix", "scratch", "zero_shot"]
[settings]
agent.hidden = [16]
agent.batch_size = 16
checkpoint_interval = 100
[baseline]
mode = "scratch"
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def whole(suite: Path) -> Path:
    """A benchmark that nothing disturbed, one cell at a time."""
    out = suite.parent / "whole"
    assert main(["benchmark", str(suite), "--out", str(out), "--jobs", "1"]) == 0
    return out


def _table(out: Path) -> list[dict[str, str]]:
    return Benchmark("", out, ()).table()


def test_a_benchmark_is_one_tidy_table_of_ordinary_runs(whole: Path) -> None:
    rows = _table(whole)
    assert tuple(read_rows(whole / "results.csv")[0]) == COLUMNS
    assert len(rows) == 6 + 6 + 1  # evaluations at 0, 100 .. 500, and one of what does not learn
    assert {row["command"] for row in rows} == {"regoal benchmark suite.toml"}
    results = read_results(whole / "results.csv")
    assert results.arms == ["replay_mix", "scratch", "zero_shot"]
    assert results.seeds == [4]
    # What does not learn is the source's policy, as is what learns before it has learned.
    task = results.tasks[0]
    assert set(results.curve(task, "zero_shot").success[0]) == {
        results.curve(task, "replay_mix").success[0, 0]
    }
    assert read_rows(whole / "failures.csv") == []
    cells = {str(path.parent.relative_to(whole / "cells")) for path in whole.glob("cells/*/*/*/run.toml")}
    assert len(cells) == 4
    assert "source-regoal_PointReach-v0/ddpg/seed-4" in cells
    assert main(["evaluate", str(whole / "cells" / min(cells)), "--episodes", "1"]) == 0


def test_what_is_finished_never_runs_again(
    suite: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (whole / "cells").rglob("*")}
    table = (whole / "results.csv").read_bytes()
    assert main(["benchmark", str(suite), "--out", str(whole)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (whole / "cells").rglob("*")} == before
    assert (whole / "results.csv").read_bytes() == table
    assert "4 of 4 cells finished, 4 of them before" in capsys.readouterr().err
    # The suite that lies beside the results is the suite.
    assert main(["benchmark", str(whole / "suite.toml"), "--out", str(whole)]) == 0


def test_runs_of_settings_that_have_changed_since_are_kept_and_told(
    suite: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the preset of a suite, or a default, is not what it was."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    cell = next(out.glob("cells/*/scratch/seed-4"))
    done = json.loads((cell / "cell.json").read_text())
    (cell / "cell.json").write_text(json.dumps(done | {"config_hash": "0123456789ab"}))
    before = (out / "results.csv").read_bytes()
    assert main(["benchmark", str(suite), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert "1 finished with other settings" in told
    assert "scratch/seed-4" in told
    assert "another --out" in told
    assert (out / "results.csv").read_bytes() == before
    assert (cell / "metrics.csv").is_file()


def test_each_cell_has_the_commit_that_it_began_with(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = (f"commit-{number}" for number in itertools.count())
    monkeypatch.setattr(benchmark, "commit", lambda: next(commits))
    assert main(["benchmark", str(suite), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    by_arm = {row["arm"]: row["commit"] for row in read_rows(tmp_path / "out" / "results.csv")}
    assert len(set(by_arm.values())) == 3


def test_another_machine_goes_on_from_the_table(
    suite: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, known = tmp_path / "out", tmp_path / "known.csv"
    command = ["benchmark", str(suite), "--out", str(out), "--known", str(known)]
    assert main(command) == 2
    assert "known: expected a results.csv of `regoal benchmark`" in capsys.readouterr().err
    for empty in (whole / "failures.csv", tmp_path / "empty.csv"):
        known.write_text(empty.read_text() if empty.exists() else "")
        assert main(command) == 2
        assert "with rows, got" in capsys.readouterr().err
    assert not out.exists()
    known.write_bytes((whole / "results.csv").read_bytes())
    assert main([*command, "--dry-run"]) == 0
    assert "cells (0)" in capsys.readouterr().out
    assert not out.exists()
    assert main(command) == 0
    assert "3 of 4 cells taken over" in capsys.readouterr().err
    assert (out / "results.csv").read_bytes() == known.read_bytes()
    assert not list(out.glob("cells/source-*"))
    assert "the run folders are not here" in (out / "report.html").read_text()


def test_killed_and_stopped_again_and_again_it_gives_the_same_table(
    suite: Path, whole: Path, tmp_path: Path
) -> None:
    out, seed = tmp_path / "out", random.randrange(10_000)
    draws = random.Random(seed)
    ways = ["kill", "stop", "driver", "interrupt", "kill"]
    codes = {"stop": 143, "interrupt": 130}
    benchmark = Benchmark(str(suite), out, ("--jobs", "2"))
    for way in ways:
        process, enough = benchmark.begin(), benchmark.saved() + draws.randint(1, 2)
        wait_until(lambda enough=enough: benchmark.saved() >= enough, process)
        time.sleep(draws.uniform(0, 0.2))
        if process.poll() is not None:  # it was quicker
            assert process.returncode == 0, f"{way}, seed {seed}"
            break
        if way == "driver":  # alone: what it began ends by itself
            os.kill(process.pid, signal.SIGKILL)
        else:
            number = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "interrupt": signal.SIGINT}[way]
            os.killpg(process.pid, number)
        code = process.wait(timeout=60)
        assert code in (codes.get(way, -signal.SIGKILL), 0), f"{way}, seed {seed}"
    assert benchmark.begin().wait(timeout=120) == 0, f"seed {seed}"
    assert _table(out) == _table(whole), f"seed {seed}"
    for path in out.glob("cells/*/*/*/metrics.csv"):  # sources too: nothing lost, nothing twice
        same = whole / path.relative_to(out)
        assert [row["success"] for row in read_rows(path)] == [row["success"] for row in read_rows(same)]


def test_a_part_of_a_suite_is_run_with_what_it_starts_from(
    suite: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["benchmark", str(suite), "--out", str(out), "--jobs", "1"]
    assert main([*command, "--only", "replay-mix"]) == 2
    told = capsys.readouterr().err
    assert "only: expected a part of the name of a cell, got 'replay-mix'. Did you mean replay_mix?" in told
    assert not out.exists()
    assert main([*command, "--only", "/replay_mix/"]) == 0
    assert "2 of 4 cells finished" in capsys.readouterr().err
    assert {row["arm"] for row in _table(out)} == {"replay_mix"}
    assert main(command) == 0  # and the rest, as if it had been run at once
    assert _table(out) == _table(whole)


def test_a_cell_that_fails_is_told_and_only_it_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "late_envs", raising=False)  # other tests have it ...
    monkeypatch.setattr(trust, "_named_modules", set())  # ... and have named it
    suite, out = tmp_path / "late.toml", tmp_path / "out"
    text = TINY.partition("[pretrain]")[0].replace("500", "400")
    grid = '[grid]\nenv = ["regoal/PointReach-v0", "late_envs:late/MovingGoal-v0"]\n'
    suite.write_text(f'{text}{grid}[settings]\n"agent.hidden" = [8]\n"agent.batch_size" = 8\n')
    command = ["benchmark", str(suite), "--out", str(out), "--jobs", "1"]
    assert main(command) == 2  # to import a module is to run it
    assert "--modules late_envs" in capsys.readouterr().err
    assert not out.exists()
    command += ["--modules", "late_envs"]
    assert main(command) == 1
    (failure,) = read_rows(out / "failures.csv")
    cell = "late_envs_late_MovingGoal-v0/ddpg-future-scratch/seed-4"
    assert (failure["cell"], failure["attempts"]) == (cell, "1")
    assert "desired_goal" in failure["error"]
    log = (out / "cells" / cell).with_name("seed-4.log").read_text()
    assert "Traceback" in log
    assert {row["task"] for row in _table(out)} == {"regoal/PointReach-v0"}
    assert main(command) == 1  # nothing is left to run
    assert len((out / "cells" / cell).with_name("seed-4.log").read_text()) == len(log)
    kept = (out / "cells/regoal_PointReach-v0/ddpg-future-scratch/seed-4/metrics.csv").read_bytes()
    assert main([*command, "--retry"]) == 1
    assert read_rows(out / "failures.csv")[0]["attempts"] == "2"
    assert (out / "cells/regoal_PointReach-v0/ddpg-future-scratch/seed-4/metrics.csv").read_bytes() == kept


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_an_env_that_cannot_be_built_is_named_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    suite = tmp_path / "broken.toml"
    text = TINY.partition("[pretrain]")[0]
    suite.write_text(f'{text}[grid]\nenv = ["broken_envs:broken/BrokenConstructor-v0"]\n')
    command = ["benchmark", str(suite), "--out", str(tmp_path / "out"), "--modules", "broken_envs"]
    assert main([*command, *options]) == 2
    told = capsys.readouterr().err
    assert f"{suite} [grid] broken_envs:broken/BrokenConstructor-v0 constructor: expected an env" in told
    assert "got OSError: no such model file" in told
    assert not (tmp_path / "out").exists()


def test_a_cell_that_hangs_is_ended_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEADLY_FILE", str(tmp_path / "deadly"))
    (tmp_path / "deadly").write_text("x")  # once
    suite = tmp_path / "hang.toml"
    text = TINY.partition("[pretrain]")[0].replace("500", "200")
    suite.write_text(f'{text}[grid]\nenv = ["deadly_envs:deadly/Hang-v0"]\n')
    command = ["benchmark", str(suite), "--out", str(tmp_path / "out"), "--modules", "deadly_envs"]
    assert main([*command, "--silent-seconds", "12"]) == 0
    assert "it said nothing for 12 s; it goes on" in capsys.readouterr().err


def test_one_folder_is_of_one_suite_and_one_process(
    suite: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "tiny.toml"
    changed.write_text(TINY.replace("steps = 500", "steps = 600").replace("[16]", "[16, 16]"))
    assert main(["benchmark", str(changed), "--out", str(whole)]) == 2
    told = capsys.readouterr().err
    assert "steps was 500 and is 600; settings.agent.hidden was [16] and is [16, 16]" in told
    with RunLock(whole):
        assert main(["benchmark", str(suite), "--out", str(whole)]) == 2
    assert "held by process" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["benchmark", str(suite), "--out", str(tmp_path)]) == 2
    assert "expected a new folder, or that of a benchmark" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[16]", '"x"', r"agent.hidden"),
        ("PointReach-v0", "PointReac-v0", "Did you mean regoal/PointReach-v0"),
        ("action_gain=0.5", "friction=0.5", "friction"),
        ("replay_mix", "replaymix", "Did you mean replay_mix"),
    ],
)
def test_nothing_is_written_where_a_suite_cannot_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    (tmp_path / "bad.toml").write_text(TINY.replace(old, new))
    for options in ([], ["--dry-run"]):
        assert main(["benchmark", str(tmp_path / "bad.toml"), "--out", str(tmp_path / "out"), *options]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path / 'bad.toml'} ")
        assert told in error
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_would_be_run_and_for_how_long(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["benchmark", str(suite), "--out", str(out), "--jobs", "2", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "tasks (1):\n  regoal/PointReach-v0 action_gain=0.5\n",
        "arms (3):\n  replay_mix\n  scratch\n  zero_shot\n",
        "source-regoal_PointReach-v0/ddpg: 1 seeds x 400 steps; pretraining, once a seed for 2 cells",
        "scratch: 1 seeds x 500 steps",
        "env steps/s",
        "with 2 jobs: the sum over cells",
    ):
        assert line in shown
    assert not out.exists()

"""The command line as a user types it: exit codes, messages, files."""

import csv
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from regoal.agent import progress, training
from regoal.cli import main

POINT = "regoal/PointReach-v0"
QUICK = ["--steps", "200", "--set", "agent.hidden=16,16", "agent.batch_size=32", "eval_episodes=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", POINT, "--out", str(path), *QUICK]) == 0
    return path


def test_a_second_signal_does_not_say_that_nothing_was_saved(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends_at_once(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "resume", ends_at_once)
    assert main(["resume", str(run)]) == 130
    told = capsys.readouterr().err
    assert "stopped at once; a run that has a checkpoint goes on with `regoal resume RUN`" in told


@pytest.mark.parametrize("workers", ["0", "1"])
def test_train_says_where_it_began_and_ended_and_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)  # a line whenever there may be one
    run = tmp_path / "run"
    options = ["--agent", "sac", "--workers", workers, "--shift", "action_gain=2.0"]
    assert main(["train", POINT, "--out", str(run), *options, *QUICK, "eval_interval=100"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{_ending(run)} after 200 env steps (action_gain=2; 3 episodes)\n"
    first, second, *lines = shown.err.splitlines()
    assert first == f"{run}: checking {POINT} with action_gain=2 ..."
    assert "kB when full" in second
    assert lines
    assert len(set(lines)) == len(lines)
    measured = {row["env_steps"]: f"{float(row['success']):.2f}" for row in _rows(run)}
    for line in lines:
        found = re.fullmatch(
            r".*: (\d+)/200 steps(?:, success (\S+) at (\d+))?(?:, \d+ steps/s, \d+ s left)?", line
        )
        assert found, line
        assert int(found[1]) < 200  # how it ended is told once, by the last line
        assert found[3] is None or measured[found[3]] == found[2]


def test_a_run_says_what_it_is_busy_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its last step, too: a benchmark ends a run that says nothing for long."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress, "SECONDS_OVERDUE", 0.0)
    assert main(["train", POINT, "--out", str(tmp_path / "run"), "--workers", "0", *QUICK]) == 0
    told = capsys.readouterr().err
    assert "200/200 steps, evaluating" in told
    assert "200/200 steps, updating" in told


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _ending(run: Path) -> str:
    """How the last line of a run begins, by the file that it wrote."""
    success = [float(row["success"]) for row in _rows(run)]
    return f"{run}: success {success[0]:.2f} -> {success[-1]:.2f}"


def test_options_of_the_machine_change_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ["--workers", "2", "--buffer-on-disk", "--profile"]
    for name, options in (("plain", ["--workers", "0"]), ("fast", fast)):
        assert main(["train", POINT, "--out", str(tmp_path / name), *options, *QUICK]) == 0
    shown = capsys.readouterr().err
    assert "when full, on disk" in shown
    assert "where the time went" in shown
    assert (tmp_path / "plain" / "episodes.csv").read_bytes() == (
        tmp_path / "fast" / "episodes.csv"
    ).read_bytes()
    tuned = ["finetune", str(tmp_path / "plain"), "--out", str(tmp_path / "tuned"), "--steps", "300"]
    assert main([*tuned, "--workers", "1"]) == 0
    assert "workers = 1\n" in (tmp_path / "tuned" / "config.toml").read_text()


@pytest.fixture(scope="module")
def both_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were trained by one command."""
    out = tmp_path_factory.mktemp("seeds") / "both"
    assert main(["train", POINT, "--out", str(out), "--seeds", "0..1", "--workers", "0", *QUICK]) == 0
    return out


def test_several_seeds_lie_side_by_side_and_pair_when_fine_tuned(both_seeds: Path, tmp_path: Path) -> None:
    source, tuned = both_seeds, tmp_path / "tuned"
    options = ["--seeds", "0,1", "--steps", "300", "--workers", "0"]
    assert main(["finetune", str(source), "--out", str(tuned), *options]) == 0
    for seed in (0, 1):
        text = (tuned / f"seed-{seed}" / "config.toml").read_text()
        assert f'source = "{source / f"seed-{seed}"}"' in text
        assert f"seed = {seed}\n" in text


def test_seeds_give_the_same_numbers_alone_and_together(both_seeds: Path, tmp_path: Path) -> None:
    assert main(["train", POINT, "--out", str(tmp_path / "alone"), "--seed", "1", *QUICK]) == 0
    tables = []
    for run in (both_seeds / "seed-1", tmp_path / "alone"):
        rows = _rows(run)
        tables.append([{k: v for k, v in row.items() if not k.startswith("wall_")} for row in rows])
    assert tables[0] == tables[1]


def test_evaluate_prints_text_or_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--episodes", "4"]) == 0
    shown = capsys.readouterr()
    assert "over 4 episodes" in shown.out
    assert shown.err.startswith(f"{run}: playing 4 episodes of {POINT} with no shift ...")
    assert main(["evaluate", str(run), "--episodes", "4", "--shift", "action_gain=0.5", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["shift"] == "action_gain=0.5"
    assert facts["episodes"] == 4
    assert facts["success_interval"][0] <= facts["success"] <= facts["success_interval"][1]


def test_shifts_and_check_and_doctor_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shifts"]) == 0
    assert "action_rotation" in capsys.readouterr().out
    assert main(["check", POINT, "--shift", "action_gain=0.5"]) == 0
    assert "FAIL" not in capsys.readouterr().out
    assert main(["check", POINT, "--env-kwargs", "max_episode_steps=12"]) == 0
    assert "12 steps" in capsys.readouterr().out
    assert main(["doctor"]) in (0, 1)
    assert "mujoco" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian", POINT], "Did you mean train"),
        (["train", "FetchReech-v4", "--out", "{}"], "FetchReach-v4"),
        (["train", "FetchReach", "--out", "{}"], "Did you mean FetchReach-v4?"),
        (["train", POINT, "--out", "{}", "--agent", "sacc"], "Did you mean sac"),
        (["train", POINT, "--out", "{}", "--relabel", "futur"], "Did you mean future"),
        (["train", POINT, "--out", "{}", "--shift", "action_gian=0.5"], "action_gain"),
        (["train", POINT, "--out", "{}", "--shift", "object_mass=2"], "object_mass"),
        (["train", POINT, "--out", "{}", "--set", "agent.gama=0.9"], "agent.gamma"),
        (["train", POINT, "--out", "{}", "--set", "agent.lr"], "NAME=VALUE"),
        (["train", POINT, "--out", "{}", "--steps", "0"], "steps"),
        (["train", POINT, "--out", "{}", "--set", "seed=1", "--set", "threads=1"], "--set A=1 B=2"),
        (["train", POINT, "--out", "{}", "--set", "agent=sac"], "--agent"),
        (["train", POINT, "--out", "{}", "--workers", "many"], "workers: expected auto"),
        (["train", POINT, "--out", "{}", "--device", "gpu"], "device"),
        (["train", POINT, "--out", "{}", "--seeds", "3..1"], "seeds"),
        (["train", POINT, "--out", "{}", "--seeds", "0,0"], "seeds"),
        (["train", "FrankaKitchen-v1", "--out", "{}"], "Nested goals"),
        (["train", "CartPole-v1", "--out", "{}"], "Dict"),
        (["evaluate", "no/such/run"], "run folder"),
        (["finetune", "no/such/run", "--out", "{}"], "run folder"),
        (["watch", "no/such/run", "--video", "{}"], "mp4"),
        (["watch", "no/such/run", "--video", "/proc/x.mp4"], "written"),
        (["evaluate", "no/such/run", "--seed", "-1"], "seed"),
        (["evaluate", "no/such/run", "--episodes", "0"], "episodes"),
    ],
)
def test_bad_input_is_answered_in_one_line_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    code = main([argument.format(out) for argument in arguments])
    shown = capsys.readouterr().err.strip()
    assert code == 2
    assert message in shown.splitlines()[-1]
    assert not out.exists()


def test_the_version_and_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("regoal 0.")
    assert main(["settings", "--agent", "sac"]) == 0
    assert "agent.initial_alpha=0.1" in capsys.readouterr().out


def test_a_fault_in_one_of_several_seeds_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x")
    assert main(["train", POINT, "--out", out, "--seeds", "0..1", "--shift", "frction=1"]) == 2
    shown = capfd.readouterr().err
    assert shown.count("Did you mean friction?") == 1  # and not by every run
    assert "TrainConfig(" not in shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--set", "agent.gamma=1.5"], "agent.gamma"),
        (["--seed", "7"], "seed: expected --seed or --seeds, got --seed 7 --seeds 0..1. Leave one out."),
    ],
)
def test_what_no_seed_can_do_is_told_once_before_any_begins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["train", POINT, "--out", str(tmp_path / "x"), "--seeds", "0..1", *options]) == 2
    assert capfd.readouterr().err.count(told) == 1
    assert not (tmp_path / "x").exists()


def test_a_policy_that_does_not_fit_its_env_any_more_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace(POINT, "FetchReach-v4"))
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2"]) == 2
    told = capsys.readouterr().err
    assert "observation size: expected that of FetchReach-v4, 10, got 4" in told


def test_misspelt_options_are_answered_by_exit_code_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", POINT, "--out", "x", "--stepps", "3"])
    assert caught.value.code == 2


def test_an_existing_run_is_not_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "metrics.csv").read_bytes()
    assert main(["train", POINT, "--out", str(run), *QUICK]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (run / "metrics.csv").read_bytes() == before


def test_ctrl_c_keeps_what_was_learned_and_says_how_far_it_came(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--steps", "1000000", "--set", "agent.hidden=16,16", "eval_interval=100"]
    process = subprocess.Popen(
        [sys.executable, "-m", "regoal.cli", "train", POINT, "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    _wait_for(lambda: (out / "metrics.csv").exists() and (out / "metrics.csv").read_text().count("\n") >= 3)
    process.send_signal(signal.SIGINT)
    told, shown = process.communicate(timeout=30)
    assert process.returncode == 130
    measured = int(_rows(out)[-1]["env_steps"])
    (line,) = told.splitlines()
    assert line.startswith(f"{_ending(out)} after {measured:,} ")
    assert line.endswith("(no shift; 20 episodes)")
    collected = re.search(r"of the ([\d,]+) env steps collected", line)
    episodes = (out / "episodes.csv").read_text().splitlines()
    assert int(episodes[-1].split(",")[1]) == (int(collected[1].replace(",", "")) if collected else measured)
    assert f"what was learned is in {out}" in shown
    assert main(["evaluate", str(out), "--episodes", "2"]) == 0


def test_a_terminal_shows_a_bar_with_success_speed_and_time_left(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        arguments = ["train", POINT, "--out", str(tmp_path / "run"), *QUICK]
        os.execv(sys.executable, [sys.executable, "-m", "regoal.cli", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    bar = shown.decode(errors="replace")
    assert "200/200" in bar
    assert re.search(r"\[\d+:\d+<\d+:\d+, .*step/s, success=[01]\.\d\d\]", bar)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the child has closed its end
        return b""


def _wait_for(condition: "object", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)

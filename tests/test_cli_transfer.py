"""Shifts, modes and rankings as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regoal.cli import main

POINT = "regoal/PointReach-v0"
QUICK = ["--steps", "200", "--set", "agent.hidden=16,16", "agent.batch_size=32", "eval_episodes=2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", POINT, "--keep-replay", "--workers", "0", "--out", str(path), *QUICK]) == 0
    return path


def test_modes_and_levels_from_pretraining_to_ranking(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / "tuned"
    options = ["--mode", "replay_mix=0.3", "--critic-reset", "--critic-warmup-steps", "50", "--steps", "200"]
    assert main(["finetune", str(run), "--shift", "action_gain=hard", *options, "--out", str(tuned)]) == 0
    text = (tuned / "config.toml").read_text()
    for line in (
        'mode = "replay_mix"',
        "source_share = 0.3",
        "critic_reset = true",
        "source_share_steps = 200",
    ):
        assert line in text
    assert "hard" not in text  # what is written down is exact
    capsys.readouterr()
    ranking = ["rank", str(run), str(tuned), "--shift", "action_gain=hard", "--episodes", "4"]
    assert main([*ranking, "--json"]) == 0
    ranked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["run"] for one in ranked} == {str(run), str(tuned)}
    assert [one["place"] for one in ranked] == [1, 2]
    assert main(ranking) == 0
    assert "4 episodes, the same ones for every run" in capsys.readouterr().out


def test_zero_shot_and_scratch_are_modes_too(run: Path, tmp_path: Path) -> None:
    for mode in ("zero_shot", "scratch"):
        out = str(tmp_path / mode)
        assert main(["finetune", str(run), "--mode", mode, "--steps", "200", "--out", out]) == 0
        assert main(["evaluate", out, "--episodes", "2"]) == 0


def test_shifts_of_one_env_and_where_transfer_breaks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shifts", POINT]) == 0
    listed = capsys.readouterr().out
    assert "action_rotation" in listed
    assert "not simulated by MuJoCo" in listed
    measured = ["shifts", POINT, "--policy", str(run), "--episodes", "2", "--out", str(tmp_path)]
    assert main(measured) == 0
    assert "action_rotation" in capsys.readouterr().out
    assert (tmp_path / "shifts-PointReach.csv").read_text().count("\n") > 30
    assert (tmp_path / "shifts-PointReach.png").read_bytes()[:4] == b"\x89PNG"


def test_check_takes_a_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "FetchPush-v4", "--shift", "friction=hard"]) == 0
    assert "FAIL" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", "{run}", "--out", "{out}", "--mode", "anchr"], "Did you mean anchor"),
        (["finetune", "{run}", "--out", "{out}", "--mode", "naive", "--critic-reset"], "critic_reset"),
        (["finetune", "{run}", "--out", "{out}", "--shift", "action_gain=heavy"], "a level"),
        (["finetune", "{run}", "--out", "{out}", "--shift", "friction=hard"], "nothing in it slides"),
        (
            ["train", "FetchReach-v4", "--out", "{out}", "--shift", "gravity=hard"],
            "no effect: only exact figures",
        ),
        (["rank", "--shift", "action_gain=hard"], "one run or more"),
        (["rank", "{run}", "{run}"], "Name it once"),
        (["rank", "{run}", "no/such/run"], "run folder"),
        (["shifts", "--policy", "{run}"], "regoal shifts ENV --policy RUN"),
        (["shifts", "FetchReach-v4", "--policy", "{run}"], "the env that a policy was trained in"),
        (["shifts", "FetchReech-v4"], "Did you mean FetchReach-v4"),
        (["shifts", POINT, "--policy", "{run}", "--out", "{run}/config.toml"], "a folder that can be made"),
    ],
)
def test_bad_input_is_answered_in_one_line_with_exit_code_2(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert main([argument.format(run=run, out=out) for argument in arguments]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not out.exists()


def test_output_that_nobody_reads_is_no_crash() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "regoal.cli", "shifts"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""

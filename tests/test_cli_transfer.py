"""Shifts, modes and rankings as a user types them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hand_made_runs import one_by_one

from regoal.benchmarks import shift_table, worlds
from regoal.cli import main
from regoal.envs.shift_families import FAMILIES

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


def test_zero_shot_and_scratch_are_modes_too(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mode, ending in (("zero_shot", r"\d\.\d\d after 0"), ("scratch", r"\d\.\d\d -> \d\.\d\d after 200")):
        out = str(tmp_path / mode)
        assert main(["finetune", str(run), "--mode", mode, "--steps", "200", "--out", out]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert re.fullmatch(rf"{re.escape(out)}: success {ending} env steps \(no shift; 20 episodes\)", line)
        assert main(["evaluate", out, "--episodes", "2"]) == 0
        capsys.readouterr()


def test_a_target_that_nobody_named_is_told_of(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = tmp_path / "shifted"
    options = ["--mode", "zero_shot"]
    assert main(["finetune", str(run), "--shift", "action_gain=2", *options, "--out", str(shifted)]) == 0
    assert "note:" not in capsys.readouterr().err
    for source, given, told in (
        (run, [], f"the target is {POINT} with no shift, the world that the source was trained in"),
        (shifted, [], f"with no shift; the source was trained in {POINT} with action_gain=2"),
        (run, ["--shift", ""], ""),
        (run, ["--set", "shift=action_gain=3"], ""),
    ):
        out = tmp_path / f"{source.name}-{len(list(tmp_path.iterdir()))}"
        assert main(["finetune", str(source), *given, *options, "--out", str(out)]) == 0
        first, *lines = capsys.readouterr().err.splitlines()
        assert first.startswith("note: without --shift ") == bool(told)
        assert told in first
        world = "action_gain=3" if "--set" in given else "no shift"
        assert f"{out}: checking {POINT} with {world} ..." in (first, *lines)
        assert f'shift = "{world if world != "no shift" else ""}"' in (out / "config.toml").read_text()


def test_what_measures_says_in_which_world(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = tmp_path / "shifted"
    given = ["--shift", "action_gain=2", "--mode", "zero_shot", "--out", str(shifted)]
    assert main(["finetune", str(run), *given]) == 0
    capsys.readouterr()
    for arguments, told in (
        (["evaluate", str(shifted)], f"{POINT} with action_gain=2 ..."),
        (["evaluate", str(shifted), "--shift", ""], f"{POINT} with no shift ..."),
        (["rank", str(shifted)], "in the env as it comes, no shift ..."),
        (["rank", str(shifted), "--shift", "action_gain=hard"], "in action_gain=hard ..."),
    ):
        assert main([*arguments, "--episodes", "2"]) == 0
        assert capsys.readouterr().err.splitlines()[0].endswith(told)


SHIFTS = '''
from regoal.envs import Effect, register_shift


class Lurch(Effect):
    """A lurch along x at every step."""

    def act(self, action, noise):
        return action + [self.value, 0]


class Silent(Effect):
    """Returns no action."""

    def act(self, action, noise):
        action + self.value


register_shift("lurch", Lurch, levels=(0.1, 0.2, 0.4))
register_shift("silent", Silent)
'''


@pytest.fixture
def _lurching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ours = dict(FAMILIES)
    (tmp_path / "lurching.py").write_text(SHIFTS)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("lurching", None)
    FAMILIES.clear()
    FAMILIES.update(ours)


@pytest.mark.usefixtures("_lurching")
def test_families_of_ones_own_are_listed_and_measured(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ["--shift", "lurching:lurch=hard"]
    assert main(["shifts"]) == 0
    assert "lurching" not in capsys.readouterr().out
    for arguments in (named, [POINT, *named], ["--modules", "lurching"]):
        assert main(["shifts", *arguments]) == 0
        listed = capsys.readouterr().out
        assert "lurching:lurch" in listed
        assert "lurching:silent" in listed
    # Which worlds would be played; that another process finds the module is tested with `register_shift`.
    monkeypatch.setattr(shift_table, "play_worlds", lambda worlds, jobs: [0] * len(worlds))
    measured = ["shifts", POINT, *named, "--policy", str(run), "--episodes", "1", "--out", "measured"]
    assert main(measured) == 0
    rows = Path("measured/shifts-PointReach.csv").read_text().splitlines()
    assert [row.split(",")[4] for row in rows if ",lurching:lurch," in row] == [
        f"lurching:lurch={figure}" for figure in ("0.1", "0.2", "0.4")
    ]


@pytest.mark.usefixtures("_lurching")
def test_an_effect_that_returns_nothing_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", POINT, "--out", "out", "--shift", "lurching:silent=1"]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert "shift 'lurching:silent', Silent.act at step 0" in shown
    assert "expected to return an action of shape (2,), got None" in shown
    assert not Path("out").exists()


def test_shifts_of_one_env_and_where_transfer_breaks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worlds, "run_all", one_by_one)  # its processes are tested in test_shift_table.py
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
        (
            ["finetune", "{run}", "--out", "{out}", "--mode", "replay_mix=1.5"],
            "mode: expected replay_mix=SHARE",
        ),
        (["finetune", "{run}", "--out", "{out}", "--shift", "action_rotation=90deg"], "action_rotation=90;"),
        (["evaluate", "{run}", "--shift", "none"], 'For no shift leave it out, or give ""'),
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
        (["shifts", "FetchPush"], "Did you mean FetchPush-v4?"),
        (["shifts", "FetchPush", "--policy", "{run}"], "Did you mean FetchPush-v4?"),
        (["shifts", "regoal/PointReach", "--policy", "{run}"], f"Did you mean {POINT}?"),
        (["shifts", "--shift", "no_such_module:wind"], "a module 'no_such_module' that can be imported"),
        (["shifts", POINT, "--shift", "frction"], "Did you mean friction?"),
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

"""What `make torture` does at length, in short; and envs and settings that are refused in so many words."""

import dataclasses
import pickle
import sys
from pathlib import Path
from typing import Any

import broken_envs
import gymnasium as gym
import numpy as np
import pytest
from test_broken_training import BROKEN, REFUSED_BEFORE, SPOILED, config
from test_docs import ROOT, run_page

from regoal import BadInput, DDPGConfig, Policy, SACConfig, TrainConfig, train
from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.torture import __main__ as torture
from regoal.benchmarks.torture import box, malice, overhead
from regoal.benchmarks.torture.chains import Chain, chains, differences
from regoal.benchmarks.torture.damage import bit_flips, truncations, unfinished_run
from regoal.benchmarks.torture.kills import kills, leftovers
from regoal.benchmarks.torture.malice import cases, malicious
from regoal.benchmarks.torture.resets import resets
from regoal.benchmarks.torture.soak import soak
from regoal.benchmarks.torture.tally import Tally
from regoal.errors import TrainingFault

# Broken envs that are refused before anything starts, beside those of test_broken_training.py, and what the
# message says.
REFUSED_ENVS = {
    "BrokenConstructor": "constructor: expected an env, got OSError: no such model file",
    "DenseCrashPenalty": "as compute_reward(next achieved_goal, desired_goal)",
    "DroppedKey": "expected the key 'desired_goal'",
    "FourResults": "not enough values to unpack",
    "ImageObservation": "expected a Box of one dimension",
    "InfoReward": "compute_reward: expected a score from the achieved and the desired goal alone",
    "IntegerBox": "expected a float dtype, got int64",
    "IntegerGoal": "expected a float dtype, got int64",
    "LeftoverState": "after a second reset with the same seed",
    "MovingGoal": "expected the goal of the reset",
    "NoTimeLimit": "max_episode_steps: expected a time limit",
    "OneAction": "expected finite bounds with low < high",
    "OtherTermination": "terminated at step 12",
    "InvertedSuccess": "success False, as the reward -1 says",
    "PoliteInfoReward": "compute_reward reads info",
    "SilentTermination": "Add compute_terminated",
    "SimulatorReward": "whatever the simulator's state",
    "SimulatorTermination": "whatever the simulator's state",
    "SuccessAsText": "expected a bool, got 'no'",
    "SuccessMostlyWrong": "as the reward -1 says",
    "SuccessVanishes": "expected the key 'is_success', as at the steps before",
    "TakesNoReadOnly": "expected a function that takes read-only arrays",
    "UnboundedAction": "expected finite bounds",
    "UnequalGoals": "expected the shape of 'desired_goal' (3,), got (2,)",
    "WritesIntoGoals": "expected goals that are left as they are",
    "UnseededReset": "after a second reset with the same seed",
}
# Settings that cannot work, and what the message says.
REFUSED_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "an env that does not exist": ({"env": "FetchReech-v4"}, "Did you mean FetchReach-v4"),
    "an env without goals": ({"env": "CartPole-v1"}, "a Dict with the keys observation"),
    "a module that does not exist": ({"env": "no_such_module:X-v0"}, "can be imported"),
    "arguments the env does not take": ({"env_kwargs": {"colour": "red"}}, "colour"),
    "no steps": ({"steps": 0}, "steps: expected 1 or more"),
    "no discount": ({"agent": DDPGConfig(gamma=1.0)}, "agent.gamma: expected in [0, 1)"),
    "no layers": ({"agent": SACConfig(hidden=())}, "agent.hidden: expected widths"),
    "a learning rate that is NaN": ({"agent": DDPGConfig(lr=float("nan"))}, "agent.lr: expected more than 0"),
    "a network larger than all memory": ({"agent": DDPGConfig(hidden=(10**9, 10**9))}, "agent.hidden"),
    "a buffer larger than all memory": ({"steps": 10**15, "capacity": 10**15}, "--buffer-on-disk"),
    "a buffer larger than the disk": (
        {"steps": 10**15, "capacity": 10**15, "buffer_on_disk": True},
        "GB free",
    ),
    "a strategy that does not exist": ({"relabel": "futur"}, "Did you mean future"),
    "a shift that does not apply": ({"shift": "friction=0.1"}, "nothing in it slides"),
    "a source that is none": ({"source": "no/such/run", "mode": "naive"}, "a run folder"),
    "a folder that is a file": ({"out": __file__}, "Runs are never overwritten"),
    "a folder below a file": ({"out": f"{__file__}/run"}, "a folder that can be made"),
}


@pytest.mark.fault
@pytest.mark.parametrize("name", REFUSED_ENVS)
def test_a_broken_env_is_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    refuse(config(f"broken_envs:broken/{name}-v0", tmp_path / "run"), f"broken/{name}-v0", REFUSED_ENVS[name])


@pytest.mark.fault
@pytest.mark.parametrize("name", REFUSED_SETTINGS)
def test_settings_that_cannot_work_are_refused_before_anything_starts(tmp_path: Path, name: str) -> None:
    changes, told = REFUSED_SETTINGS[name]
    refuse(dataclasses.replace(config("regoal/PointReach-v0", tmp_path / "run"), **changes), told)


def refuse(settings: TrainConfig, *told: str) -> None:
    """That training is refused in these words, and nothing is written."""
    there = Path(settings.out).exists()
    with pytest.raises(BadInput) as caught:
        train(settings)
    for part in told:
        assert part in str(caught.value)
    assert Path(settings.out).exists() == there


@pytest.mark.fault
def test_learning_that_diverges_ends_at_once_and_the_last_good_weights_stay(tmp_path: Path) -> None:
    agent, run = DDPGConfig(hidden=(16,), batch_size=16, lr=1e30), tmp_path / "run"
    with pytest.raises(TrainingFault, match=r"lower agent\.lr"):
        train(dataclasses.replace(config("regoal/PointReach-v0", run), agent=agent))
    assert np.isfinite(Policy.load(run).act(np.zeros(4), np.zeros(2))).all()


@pytest.mark.fault
def test_a_simulation_that_resets_itself_spoils_the_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Velocities that are no numbers make MuJoCo start anew; what is observed stays finite."""
    from gymnasium_robotics.envs.fetch.fetch_env import MujocoFetchEnv

    plain, steps = MujocoFetchEnv.step, 0

    def shaken(self: MujocoFetchEnv, action: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 330:  # the checks before training take half of them
            self.data.qvel[:] = np.nan
        return plain(self, action)

    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log where it stands
    monkeypatch.setattr(MujocoFetchEnv, "step", shaken)
    settings = dataclasses.replace(config("FetchReach-v4", tmp_path / "run"), steps=200)
    train(settings)
    assert "one that MuJoCo has reset by itself (mjWARN_BADQVEL" in capsys.readouterr().err


def test_there_are_as_many_faults_as_are_promised() -> None:
    here, there = len(REFUSED_ENVS) + len(REFUSED_SETTINGS), len(REFUSED_BEFORE) + len(SPOILED) + len(BROKEN)
    assert here + there >= 45  # and the single ones, and those of test_disk.py
    assert {f"broken/{name}-v0" for name in REFUSED_ENVS | dict.fromkeys(REFUSED_BEFORE)} | {
        f"broken/{name}-v0" for name in broken_envs.KEEPS_THE_CONTRACT
    } | {"broken/Waits-v0"} == {  # for five minutes: test_check.py shortens them
        name for name in gym.registry if name.startswith("broken/")
    }


# What `make torture` does, in short


def test_killed_runs_load_resume_and_leave_nothing(tmp_path: Path) -> None:
    tally = kills(tmp_path, 4)
    assert (tally.tries, tally.failures) == (4, []), tally


def test_what_a_killed_run_leaves_is_seen(tmp_path: Path) -> None:
    run = unfinished_run(tmp_path / "run")
    assert leftovers(run) == []
    (run / "checkpoints" / ".stage-7").mkdir()
    (run / "replay" / "00000000-0123456789abcdef.safetensors").write_bytes(b"")
    assert len(leftovers(run)) == 2


def test_a_killed_and_resumed_run_is_the_same_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "regoal.benchmarks.torture.chains.CHAINS", [Chain("sac", "regoal/PointReach-v0", (0, 1))]
    )
    tally = chains(tmp_path, 1)
    assert (tally.tries, tally.failures) == (1, []), tally
    # And what differs is seen.
    metrics = tmp_path / "chain-0" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("\n600,", "\n601,"))
    assert differences(tmp_path / "whole-0", tmp_path / "chain-0") == ["metrics"]


@pytest.mark.parametrize("harm", [bit_flips, truncations])
def test_damaged_files_are_refused_or_fallen_back_from(tmp_path: Path, harm: Any) -> None:
    tally = harm(tmp_path, 80)
    assert (tally.tries, tally.failures) == (80, []), tally
    assert "70 fallen back from" in tally.note  # the first file of episodes belongs to all generations


def test_crafted_files_run_nothing_and_are_refused(tmp_path: Path) -> None:
    assert len(cases()) >= 100
    tally = malicious(tmp_path, 40)
    assert (tally.tries, tally.failures) == (40, []), tally


def test_what_a_crafted_file_does_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = unfinished_run(tmp_path / "template")
    for older in sorted((template / "checkpoints").iterdir())[:-1]:
        older.rename(tmp_path / older.name)
    monkeypatch.chdir(tmp_path)
    one = box.Box(tmp_path / "executed", template)
    assert malice._wrong(one, lambda box: box.canary.write_text("")) == "something was executed"
    two = box.Box(tmp_path / "outside", template)
    assert malice._wrong(two, lambda box: (box.outside / "more").write_text("")).startswith(
        "something outside"
    )
    three = box.Box(tmp_path / "slow", template)
    assert malice._wrong(three, lambda box: None) == malice.NOT_REFUSED
    # A pickle does what it was made for where it is loaded.
    pickle.loads(three.pickled()).close()  # noqa: S301
    assert three.harm == "something was executed"
    # And a module is imported where nobody asks for trust.
    four = box.Box(tmp_path / "trusting", template)
    cases()["config.toml with a shift of a module"][1](four)
    monkeypatch.setattr("regoal.agent.resuming.require_trusted", lambda config, where: config)
    assert malice._wrong(four, malice.ATTEMPTS["resume"]) == "something was executed"
    del sys.modules["evil_module"]


def test_a_seed_gives_the_same_episode_whatever_was_played_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regoal.benchmarks.torture.resets.ENVS", ("regoal/PointReach-v0", "FetchPush-v4"))
    tally = resets(tmp_path, 2)
    assert (tally.tries, tally.failures) == (56, []), tally


def test_a_run_in_trouble_finishes_and_counts_every_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regoal.benchmarks.torture.soak.HANG_SECONDS", 2.0)
    tally = soak(tmp_path, 5.0)
    assert tally.failures == []
    assert tally.tries >= 6


def test_what_checkpoints_cost_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = dataclasses.replace(config("regoal/PointReach-v0", tmp_path), checkpoint_interval=200)
    monkeypatch.setattr(overhead, "RUNS", (run,))
    monkeypatch.setattr(overhead, "MOST", 1.0)
    assert overhead.overhead(tmp_path / "cheap", 1).failures == []
    monkeypatch.setattr(overhead, "MOST", 0.0)
    tally = overhead.overhead(tmp_path / "dear", 1)
    assert tally.tries == len(tally.failures) == 1, "three checkpoints are not for nothing"


def test_the_guide_shows_what_was_found() -> None:
    rows = read_rows(ROOT / "benchmarks" / "results" / "torture.csv")
    assert [row["test"] for row in rows] == list(torture.TESTS)
    assert all(row["failures"] == "0" for row in rows)
    assert all(
        int(row["tries"]) >= tries for row, (_, tries) in zip(rows, torture.TESTS.values(), strict=True)
    )
    (soaked,) = [float(row["seconds"]) for row in rows if row["test"] == "soak"]
    assert soaked >= torture.TESTS["soak"][1]
    assert torture.table(rows) in (ROOT / "docs" / "trust.md").read_text()


def test_rows_of_other_tests_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, failures in (("resets", []), ("kill", ["try 1: lost"])):
        test = lambda folder, tries, failures=failures: Tally(tries, failures, "so")  # noqa: E731
        monkeypatch.setitem(torture.TESTS, name, (test, 40))
        arguments = ["torture", "--results", str(tmp_path), "--only", name, "--scale", "0.1"]
        monkeypatch.setattr("sys.argv", arguments)
        assert torture.main() == len(failures)
    rows = read_rows(tmp_path / "torture.csv")
    assert [(row["test"], row["tries"], row["failures"]) for row in rows] == [
        ("kill", "4", "1"),
        ("resets", "4", "0"),
    ]


def test_the_guide_to_what_can_be_relied_on(tmp_path: Path) -> None:
    assert "same weights: True" in run_page(ROOT / "docs" / "trust.md", tmp_path)[-1]
    rows = [read_rows(tmp_path / "runs" / name / "metrics.csv") for name in ("calm", "killed")]
    without_wall = [[{k: v for k, v in row.items() if k[:5] != "wall_"} for row in table] for table in rows]
    assert without_wall[0] == without_wall[1]

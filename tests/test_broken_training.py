"""Training on broken envs: an answer before anything starts, or at the step, and nothing learned is lost."""

import csv
import dataclasses
import errno
from pathlib import Path

import broken_envs  # noqa: F401  (registers its envs)
import gymnasium as gym
import late_envs
import numpy as np
import pytest

from regoal import BadInput, DDPGConfig, EnvFault, Policy, TrainConfig, train
from regoal.agent.checkpoints import newest_checkpoint

pytestmark = pytest.mark.fault

# env, field, expected, got: each must stand in the message
REFUSED_BEFORE = {
    "MissingKey": ("achieved_goal", "the key 'achieved_goal'", "desired_goal, observation"),
    "WrongShape": ("observation", "shape (4,)", "shape (3,)"),
    "NanReward": ("reward", "finite", "nan"),
    "NanObservation": ("observation", "finite numbers", "nan"),
    "CrashPenalty": ("reward", "compute_reward", "-"),
    "ArrayReward": ("compute_reward", "one number for one pair", "shape"),
    "Aliasing": ("achieved_goal", "stays as it was", "writes into it"),
    "DiscreteAction": ("action_space", "a bounded Box", "Discrete"),
    "NestedGoals": ("achieved_goal", "one flat Box", "nested Dict"),
    "NoSuccessKey": ("info", "is_success", "keys"),
    "Raises": ("step", "returns", "Error"),
}
# What may go well another time: the episode is lost, and no more.
SPOILED = {
    "Nan": ("'observation'", "finite numbers", "nan"),
    "InfiniteGoal": ("'achieved_goal'", "finite numbers", "inf"),
    "NanReward": ("reward", "a finite number", "nan"),
    "Raises": ("step", "returns", "RuntimeError: the simulator fell over"),
}
# What another attempt does not mend: the env is not what it was when it was checked.
BROKEN = {
    "MissingKey": ("'achieved_goal'", "the key 'achieved_goal'", "observation"),
    "WrongShape": ("'observation'", "shape (4,)", "shape (3,)"),
    "MovingGoal": ("'desired_goal'", "the goal of the reset", ""),
    "NoSuccess": ("info", "is_success", "no keys"),
    "CrashPenalty": ("reward", "compute_reward", "-6"),
    "Terminates": ("terminated", "False", "True"),
}


def config(env: str, out: Path) -> TrainConfig:
    return TrainConfig(
        env=env,
        out=str(out),
        agent=DDPGConfig(hidden=(16,), batch_size=16),
        steps=600,
        eval_interval=100_000,
        eval_episodes=2,
        workers=0,
    )


@pytest.mark.parametrize("name", sorted(REFUSED_BEFORE))
def test_a_broken_env_is_refused_before_training(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        train(config(f"broken_envs:broken/{name}-v0", tmp_path / "run"))
    for part in (f"broken/{name}-v0", *REFUSED_BEFORE[name]):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_reward_that_takes_no_batches_is_slower_and_works(tmp_path: Path) -> None:
    result = train(config("broken_envs:broken/LoopableReward-v0", tmp_path / "run"))
    assert result.env_steps >= 600


@pytest.mark.parametrize("name", sorted(SPOILED))
def test_a_spoiled_episode_is_named_discarded_counted_and_played_anew(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(config(f"late_envs:late/{name}-v0", tmp_path / "run"))
    told = capsys.readouterr().err
    for part in (f"late/{name}-v0", *SPOILED[name], "step 0", "episode 6", "played anew"):
        assert part in told
    run = newest_checkpoint(result.path).state["progress"]["run"]
    # The fault comes with the env's 301st step; a new env is sound for 300 again.
    assert (run["env_steps"], run["episodes"]) == (600, 12)
    assert (run["failed_episodes"], run["discarded_steps"], run["failed_in_a_row"]) == (1, 1, 0)
    with (result.path / "metrics.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert (last["failed_episodes"], last["discarded_steps"], last["eval_failed_episodes"]) == ("1", "1", "0")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_evaluation_bears_any_number_of_accidents(tmp_path: Path, workers: int) -> None:
    """Each of its envs breaks in its seventh episode: of 80 one in six, however two processes share them."""
    plain = config("late_envs:late/Raises-v0", tmp_path / "run")
    result = train(dataclasses.replace(plain, steps=100, eval_episodes=80, workers=workers))
    with (result.path / "metrics.csv").open(newline="") as file:
        assert all(11 <= int(row["eval_failed_episodes"]) <= 15 for row in csv.DictReader(file))


def test_ten_spoiled_episodes_in_a_row_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, steps = late_envs.PointReach.step, 0

    def counted(self: late_envs.PointReach, action: np.ndarray) -> object:
        nonlocal steps
        steps += 1
        if steps > 400:  # the checks before training take 150 or so
            raise RuntimeError("out of order")
        return plain(self, action)

    monkeypatch.setattr(late_envs.PointReach, "step", counted)
    with pytest.raises(EnvFault, match="out of order"):
        train(config("late_envs:late/Raises-v0", tmp_path / "run"))
    run = newest_checkpoint(tmp_path / "run").state["progress"]["run"]
    assert run["failed_episodes"] == run["failed_in_a_row"] == 10
    assert run["env_steps"] == 50 * run["episodes"]
    assert Policy.load(tmp_path / "run")


def test_an_env_that_can_no_longer_be_built_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, calls, last = gym.make, 0, 0

    def counted(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == last:
            raise OSError(errno.EMFILE, "Too many open files")
        return make(*arguments, **options)

    monkeypatch.setattr(gym, "make", counted)
    plain = config("late_envs:late/Raises-v0", tmp_path / "whole")
    train(plain)
    calls, last = 0, calls  # built in place of the one that broke
    with pytest.raises(EnvFault, match=r"constructor: expected an env, got OSError: .*Too many open files"):
        train(dataclasses.replace(plain, out=str(tmp_path / "run")))
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 300


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_an_env_that_breaks_its_contract_ends_the_run_which_stays_loadable(tmp_path: Path, name: str) -> None:
    assert {*BROKEN, *SPOILED} == set(late_envs.FAULTS)
    with pytest.raises(EnvFault) as caught:
        train(config(f"late_envs:late/{name}-v0", tmp_path / "run"))
    for part in (f"late/{name}-v0", *BROKEN[name], "step 0", "episode 6"):
        assert part in str(caught.value)
    run = newest_checkpoint(tmp_path / "run").state["progress"]["run"]
    assert (run["env_steps"], run["gradient_steps"], run["episodes"]) == (300, 150, 6)
    assert np.isfinite(Policy.load(tmp_path / "run").act(np.zeros(4), np.zeros(2))).all()
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 2

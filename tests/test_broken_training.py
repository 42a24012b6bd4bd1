"""Training on broken envs: an answer before anything starts, or at the step, and nothing learned is lost."""

from pathlib import Path

import broken_envs  # noqa: F401  (registers its envs)
import late_envs
import numpy as np
import pytest

from regoal import BadInput, DDPGConfig, EnvFault, Policy, TrainConfig, train
from regoal.agent.checkpoints import newest_checkpoint

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
LATE = {
    "Nan": ("'observation'", "finite numbers", "nan"),
    "InfiniteGoal": ("'achieved_goal'", "finite numbers", "inf"),
    "MissingKey": ("'achieved_goal'", "the key 'achieved_goal'", "observation"),
    "WrongShape": ("'observation'", "shape (4,)", "shape (3,)"),
    "MovingGoal": ("'desired_goal'", "the goal of the reset", ""),
    "NoSuccess": ("info", "is_success", "no keys"),
    "CrashPenalty": ("reward", "compute_reward", "-6"),
    "NanReward": ("reward", "a finite number", "nan"),
    "Terminates": ("terminated", "False", "True"),
    "Raises": ("step", "returns", "RuntimeError: the simulator fell over"),
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


@pytest.mark.parametrize("name", sorted(LATE))
def test_an_env_that_breaks_while_training_is_named_and_the_run_stays_loadable(
    tmp_path: Path, name: str
) -> None:
    assert set(LATE) == set(late_envs.FAULTS)
    with pytest.raises(EnvFault) as caught:
        train(config(f"late_envs:late/{name}-v0", tmp_path / "run"))
    for part in (f"late/{name}-v0", *LATE[name], "step 0", "episode 6"):
        assert part in str(caught.value)
    counters = newest_checkpoint(tmp_path / "run").state["counters"]
    assert counters == {"env_steps": 300, "gradient_steps": 150, "episodes": 6, "discarded_steps": 1}
    assert np.isfinite(Policy.load(tmp_path / "run").act(np.zeros(4), np.zeros(2))).all()
    assert (tmp_path / "run" / "metrics.csv").read_text().count("\n") == 2

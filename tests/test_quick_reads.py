"""Reading joints in one go gives the numbers that reading them one by one gives."""

import gymnasium as gym
import numpy as np
import pytest

from regoal.envs.quick_reads import QuickReads
from regoal.envs.recipe import make


@pytest.mark.parametrize("env_id", ["FetchReach-v4", "FetchPickAndPlace-v4", "HandReach-v3"])
def test_trajectories_are_those_of_gymnasium_to_the_last_bit(env_id: str) -> None:
    quick = make(env_id)
    plain = gym.make(env_id, disable_env_checker=True)
    assert isinstance(quick.unwrapped._utils, QuickReads)  # type: ignore[attr-defined]
    actions = np.random.default_rng(0)
    for seed in range(2):
        left, right = quick.reset(seed=seed)[0], plain.reset(seed=seed)[0]
        for _ in range(20):
            for key in left:
                assert np.array_equal(left[key], right[key])
                assert left[key].dtype == right[key].dtype
            action = actions.uniform(-1, 1, quick.action_space.shape).astype(np.float32)
            left, right = quick.step(action)[0], plain.step(action)[0]


def test_another_model_is_read_by_name() -> None:
    env, other = make("FetchReach-v4").unwrapped, make("HandReach-v3").unwrapped
    other.reset(seed=1)  # type: ignore[attr-defined]
    names = other._model_names.joint_names  # type: ignore[attr-defined]
    read = env._utils.robot_get_obs(other.model, other.data, names)  # type: ignore[attr-defined]
    expected = other._utils.robot_get_obs(other.model, other.data, names)  # type: ignore[attr-defined]
    assert np.array_equal(read[0], expected[0])
    assert np.array_equal(read[1], expected[1])

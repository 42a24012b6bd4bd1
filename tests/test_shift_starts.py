"""Shifts of where episodes start, proved by where things are."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shift_play import POINT, no_action

from regoal.envs.recipe import Env, make

OBJECT_ENVS = ["FetchPush-v4", "FetchSlide-v4", "FetchPickAndPlace-v4"]


def _resets(env: Env, key: str) -> NDArray[Any]:
    return np.stack([env.reset(seed=seed)[0][key] for seed in range(20)])


@pytest.mark.parametrize("env_id", OBJECT_ENVS)
@pytest.mark.parametrize("factor", [0.7, 1.2])
def test_the_object_starts_nearer_or_farther_in_its_direction(env_id: str, factor: float) -> None:
    plain, shifted = make(env_id), make(env_id, f"start_region={factor}")
    base: Any = plain.unwrapped
    gripper = base.initial_gripper_xpos[:2]
    before, after = (_resets(env, "achieved_goal")[:, :2] - gripper for env in (plain, shifted))
    distance = np.linalg.norm(before, axis=1, keepdims=True)
    np.testing.assert_allclose(after, before * np.maximum(factor, 0.1 / distance), atol=2e-4)
    assert np.linalg.norm(after, axis=1).min() > 0.0998  # the env's own rule, but for what lies settles
    if factor > 1:
        np.testing.assert_allclose(np.abs(after).max() / np.abs(before).max(), factor, rtol=0.01)
    np.testing.assert_array_equal(_resets(plain, "desired_goal"), _resets(shifted, "desired_goal"))
    plain.close()
    shifted.close()


@pytest.mark.parametrize(("env_id", "factor"), [("FetchPush-v4", 1.24), ("FetchSlide-v4", 2.0)])
def test_the_observation_goes_with_the_moved_object_which_stays_where_it_is(
    env_id: str, factor: float
) -> None:
    env = make(env_id, f"start_region={factor}")
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        start = observation["achieved_goal"]
        np.testing.assert_array_equal(observation["observation"][3:6], start)
        np.testing.assert_allclose(
            observation["observation"][6:9], start - observation["observation"][:3], atol=1e-12
        )
        for _ in range(5):
            observation, *_ = env.step(no_action(env))
        np.testing.assert_allclose(observation["achieved_goal"], start, atol=2e-3)
    env.close()


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_the_point_starts_in_a_smaller_or_larger_square(factor: float) -> None:
    plain, shifted = make(POINT), make(POINT, f"start_region={factor}")
    np.testing.assert_allclose(
        _resets(shifted, "achieved_goal"), factor * _resets(plain, "achieved_goal"), rtol=1e-12
    )
    np.testing.assert_array_equal(_resets(plain, "desired_goal"), _resets(shifted, "desired_goal"))


def test_sensors_read_where_the_object_was_put() -> None:
    plain = make("FetchPush-v4", "start_region=1.2")
    off = make("FetchPush-v4", "start_region=1.2,observation_bias=0.1,observation_delay=1")
    for seed in range(3):
        true, read = plain.reset(seed=seed)[0]["observation"], off.reset(seed=seed)[0]["observation"]
        np.testing.assert_allclose(read, true + 0.1, rtol=1e-12)
        np.testing.assert_array_equal(off.step(no_action(off))[0]["observation"], read)
    plain.close()
    off.close()


def test_start_and_goal_regions_do_not_disturb_each_other() -> None:
    alone = {
        key: _resets(make("FetchPush-v4", shift), key)
        for key, shift in (("achieved_goal", "start_region=1.2"), ("desired_goal", "goal_region=0.5"))
    }
    both = make("FetchPush-v4", "start_region=1.2,goal_region=0.5")
    for key, expected in alone.items():
        np.testing.assert_array_equal(_resets(both, key), expected)
    both.close()

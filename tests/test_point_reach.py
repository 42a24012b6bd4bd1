"""The small env: its dynamics, its goals and its picture."""

import time

import numpy as np
import pytest

from regoal.envs.check import check_env
from regoal.envs.point_reach import PointReach
from regoal.envs.recipe import EnvRecipe, make


def test_full_push_follows_the_documented_dynamics() -> None:
    env = PointReach()
    start = env.reset(seed=0)[0]["observation"]
    env._position = np.zeros(2)
    for _ in range(3):
        observation = env.step(np.ones(2, np.float32))[0]["observation"]
    # Velocity 0.05, 0.075, 0.0875: each half of the last one plus 0.05.
    np.testing.assert_allclose(observation, [0.2125, 0.2125, 0.0875, 0.0875])
    np.testing.assert_array_equal(start[2:], 0.0)


def test_actions_beyond_the_box_are_clipped() -> None:
    def after(scale: float) -> np.ndarray:
        env = PointReach()
        env.reset(seed=3)
        return env.step(np.full(2, scale, np.float32))[0]["observation"]

    np.testing.assert_array_equal(after(1.0), after(50.0))


def test_a_push_towards_the_goal_reaches_it_from_every_start() -> None:
    env = make("regoal/PointReach-v0")
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        for _ in range(50):
            error = observation["desired_goal"] - observation["observation"][:2]
            push = np.clip(10 * error - 10 * observation["observation"][2:], -1, 1)
            observation, reward, terminated, truncated, info = env.step(push.astype(np.float32))
        assert info["is_success"]
        assert reward == 0.0
        assert truncated
        assert not terminated


def test_it_ends_at_the_goal_where_asked_to() -> None:
    env = PointReach(terminate_on_success=True)
    env.reset(seed=0)
    env._position = env._goal.copy()
    _, reward, terminated, truncated, info = env.step(np.zeros(2, np.float32))
    assert (reward, terminated, truncated, info["is_success"]) == (0.0, True, False, True)


def test_the_edge_of_the_goal_counts_as_reached_by_all_three() -> None:
    env = PointReach(terminate_on_success=True, distance_threshold=0.5)
    edge, beyond, goal = np.array([0.5, 0.0]), np.array([0.501, 0.0]), np.zeros(2)
    env._goal = goal
    assert env.compute_reward(edge, goal, {}) == 0.0
    assert env.compute_terminated(edge, goal, {})
    assert env._is_near(edge)
    assert env.compute_reward(beyond, goal, {}) == -1.0
    assert not env.compute_terminated(beyond, goal, {})
    assert not env._is_near(beyond)


def test_scores_keep_leading_shapes() -> None:
    env = PointReach()
    goals = np.zeros((3, 4, 2))
    assert env.compute_reward(goals, goals, {}).shape == (3, 4)
    assert env.compute_terminated(goals, goals, {}).shape == (3, 4)


def test_observations_belong_to_the_declared_space() -> None:
    env = PointReach()
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])


@pytest.mark.parametrize("terminate_on_success", [False, True])
def test_it_keeps_the_contract_in_full(terminate_on_success: bool) -> None:
    recipe = EnvRecipe("regoal/PointReach-v0", kwargs={"terminate_on_success": terminate_on_success})
    assert {finding.verdict for finding in check_env(recipe, episodes=20)} == {"pass"}


def test_the_picture_shows_goal_and_point() -> None:
    env = make("regoal/PointReach-v0", render_mode="rgb_array")
    env.reset(seed=1)
    picture = np.asarray(env.render())
    assert picture.shape == (240, 240, 3)
    colours = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert {(40, 160, 80), (40, 80, 200)} <= colours
    assert make("regoal/PointReach-v0").unwrapped.render() is None


def test_it_steps_thousands_of_times_a_second() -> None:
    env = make("regoal/PointReach-v0")
    env.reset(seed=0)
    action = np.array([0.5, -0.5], np.float32)
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for step in range(500):
            env.step(action)
            if step % 50 == 49:
                env.reset()
        best = min(best, time.process_time() - began)
    assert 500 / best > 2_000

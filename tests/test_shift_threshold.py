"""A shift of the reward's threshold: reward, success, termination and hindsight change together."""

import multiprocessing
import pickle
from typing import Any

import numpy as np
import pytest
from shift_play import POINT, no_action, reward_of

from regoal.buffers import HindsightBuffer
from regoal.buffers.episode import Episode
from regoal.envs import GoalSpec
from regoal.envs.recipe import make
from regoal.errors import BadInput

NOMINAL = {"FetchReach-v4": 0.05, "FetchPush-v4": 0.05, "HandReach-v3": 0.01, POINT: 0.1}


def _pairs(spec: GoalSpec, distances: list[float]) -> tuple[Any, Any]:
    achieved = np.random.default_rng(0).normal(size=(len(distances), spec.goal_size))
    desired = achieved.copy()
    desired[:, 0] += distances
    return achieved, desired


@pytest.mark.parametrize("env_id", NOMINAL)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_pairs_are_scored_with_the_shifted_threshold(env_id: str, factor: float) -> None:
    edge = NOMINAL[env_id]
    spec = GoalSpec.of(env_id, f"reward_threshold={factor}")
    pairs = _pairs(spec, [0.99 * edge * factor, 1.01 * edge * factor])
    np.testing.assert_array_equal(spec.reward(*pairs), [0, -1])
    # Neither a copy that builds the env anew nor one in another process resets it first.
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301
    np.testing.assert_array_equal(copy.reward(*pairs), [0, -1])
    assert copy.sparse
    copy.close()
    if env_id == POINT:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            np.testing.assert_array_equal(pool.apply(reward_of, (spec, *pairs)), [0, -1])
    plain = GoalSpec.of(env_id)
    assert list(plain.reward(*_pairs(plain, [0.99 * edge, 1.01 * edge]))) == [0, -1]
    spec.close()
    plain.close()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_reward_success_and_termination_of_a_step_go_with_it(factor: float) -> None:
    env = make(POINT, f"reward_threshold={factor}", terminate_on_success=True)
    for distance, reached in ((0.99, True), (1.01, False)):
        env.reset(seed=0)
        base: Any = env.unwrapped
        base._goal = base._position + np.array([distance * 0.1 * factor, 0])
        _, reward, terminated, _, info = env.step(no_action(env))
        assert (reward == 0, terminated, info["is_success"]) == (reached, reached, reached)


@pytest.mark.parametrize(("factor", "within"), [(0.5, 2), (1.0, 4), (2.0, 8)])
def test_hindsight_relabels_with_it(factor: float, within: int) -> None:
    """A point that moves 0.024 m a step: so many states lie within the threshold of a goal ahead."""
    spec = GoalSpec.of(POINT, f"reward_threshold={factor}")
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301
    length = 30
    achieved = np.stack([0.024 * np.arange(length + 1), np.zeros(length + 1)], axis=1)
    episode = Episode(
        observation=np.repeat(np.arange(length + 1.0)[:, None], 4, axis=1),  # its step
        achieved_goal=achieved,
        desired_goal=np.array([9.0, 0.0]),
        action=np.zeros((length, 2)),
        reward=np.full(length, -1.0, np.float32),
        terminated=False,
        success=np.zeros(length, np.bool_),
    )
    for scorer in (spec, copy):
        buffer = HindsightBuffer(scorer, 100, strategy="final", n_sampled_goal=1_000_000, seed=0)
        buffer.add_episode(episode)
        batch = buffer.sample(3_000)
        reached = set(batch.next_observation[batch.reward == 0][:, 0].tolist())
        assert reached == set(range(length - within, length + 1))
    spec.close()
    copy.close()


@pytest.mark.parametrize("text", ["reward_threshold=0.5..1", "reward_threshold=0.5/1"])
def test_one_reward_holds_for_all_episodes(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        make(POINT, text)
    assert caught.value.expected == "one figure"
    assert "one reward for all episodes" in caught.value.fix

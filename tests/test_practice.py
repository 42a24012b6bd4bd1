"""Practice: in some episodes the policy is asked for a goal that was achieved and is wanted."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regoal import preset, train
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.experience import Experience
from regoal.agent.idle import without_idle
from regoal.agent.replay_files import read_segments
from regoal.agent.rollout import play
from regoal.agent.validation import validated
from regoal.buffers import HindsightBuffer
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

from .reference import FakeScorer
from .test_resume import config
from .test_rollouts import assert_same_run, policy_for
from .test_wanted import COMMON, LENGTH, WANTED, buffer_of, episode_to


def test_what_is_practised_is_achieved_and_wanted() -> None:
    buffer = buffer_of(1)
    rng = np.random.default_rng(0)
    # ODD is achieved as seldom, COMMON is desired as often.
    assert {tuple(buffer.wanted_goal(rng)) for _ in range(20)} == {WANTED}


def test_nothing_is_practised_before_anything_new_was_achieved() -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 100, marks=True)
    rng = np.random.default_rng(0)
    assert buffer.wanted_goal(rng) is None
    buffer.add_episode(episode_to(0, COMMON, WANTED))
    assert buffer.wanted_goal(rng) is None
    buffer.add_episode(episode_to(1, WANTED, WANTED))
    assert buffer.wanted_goal(rng) is not None


def test_the_policy_is_shown_the_goal_and_the_record_is_of_the_desired_one() -> None:
    spec = GoalSpec.of("regoal/PointReach-v0")
    env = spec.recipe.build()
    policy = policy_for(spec)
    try:
        plain = play(env, spec, policy, seed=3)
        goal = -plain.desired_goal.astype(np.float32)
        asked = play(env, spec, policy, seed=3, asked=goal)
    finally:
        env.close()
        spec.close()
    np.testing.assert_array_equal(asked.desired_goal, plain.desired_goal)
    np.testing.assert_array_equal(asked.observation[0], plain.observation[0])
    for episode, shown in ((plain, plain.desired_goal), (asked, goal)):
        for observation, action in zip(episode.observation, episode.action, strict=False):
            inputs = np.concatenate([observation, shown]).astype(np.float32)
            np.testing.assert_array_equal(action, policy.mean_action(inputs))
    assert not np.array_equal(plain.action[0], asked.action[0])
    rewards = spec.reward(asked.achieved_goal[1:], np.broadcast_to(asked.desired_goal, (len(asked), 2)))
    np.testing.assert_array_equal(asked.reward, rewards)


def test_its_share_of_episodes_has_goals_once_goals_are_learned(tmp_path: Path) -> None:
    settings = {"practice": 0.25, "discovery": 1.0, "discovery_steps": 200}
    run = train(config(tmp_path / "run", **settings)).path
    spec = GoalSpec.of("regoal/PointReach-v0")
    experience = Experience(config(tmp_path / "other", **settings), spec)
    for episode in read_segments(run, newest_checkpoint(run).segments):
        experience.add(episode)
    assert {experience.goal_to_practise(index) is None for index in range(50)} == {True}
    experience.own.discovering = False
    state = experience.own.state()
    goals = [experience.goal_to_practise(index) for index in range(2_000)]
    assert np.mean([goal is not None for goal in goals]) == pytest.approx(0.25, abs=0.03)
    for index in range(20):
        np.testing.assert_array_equal(goals[index], experience.goal_to_practise(index))
    assert experience.own.state() == state
    spec.close()


def test_any_number_of_workers_practises_alike(tmp_path: Path) -> None:
    for workers in (0, 2):
        train(config(tmp_path / str(workers), practice=0.5, steps=400, workers=workers))
    assert_same_run(tmp_path / "0", tmp_path / "2")
    train(config(tmp_path / "plain", steps=400))
    plain, practised = (
        [one.action for one in read_segments(run, newest_checkpoint(run).segments)]
        for run in (tmp_path / "plain", tmp_path / "0")
    )
    same = [np.array_equal(one, other) for one, other in zip(plain, practised, strict=True)]
    assert same[0]  # nothing was achieved yet
    assert not all(same)


def test_it_is_refused_where_it_cannot_work(tmp_path: Path) -> None:
    plain = TrainConfig("regoal/PointReach-v0", str(tmp_path), practice=0.5)
    refusals: tuple[tuple[dict[str, Any], str], ...] = (
        ({"relabel": "none"}, "practice: expected 0 where no goal is replaced"),
        ({"practice": 1.5}, r"practice: expected in \[0, 1\], got 1.5"),
        ({"practice": float("nan")}, "practice: expected 0 or more, and finite"),
    )
    for changes, told in refusals:
        with pytest.raises(BadInput, match=told):
            validated(dataclasses.replace(plain, **changes))
    with pytest.raises(BadInput, match="practice: expected 0 where compute_reward does not give exactly two"):
        train(dataclasses.replace(plain, env="FetchReachDense-v4"))
    assert without_idle(plain).practice == 0.5
    assert without_idle(dataclasses.replace(plain, relabel="none")).practice == 0
    assert without_idle(dataclasses.replace(plain, mode="warm_start")).practice == 0


@pytest.mark.slow
def test_objects_are_lifted_with_it_when_they_are_not_without(tmp_path: Path) -> None:
    """With two critics, where lifting comes later; with those of the preset it comes in the end."""
    critics = {"agent.n_critics": 2, "agent.target_critics": 0}

    def success(practice: float) -> float:
        config = preset(
            "FetchPickAndPlace-v4", out=tmp_path / f"run-{practice:g}", practice=practice, **critics
        )
        return train(config).success

    assert success(0.5) >= 0.6
    assert success(0.0) <= 0.4

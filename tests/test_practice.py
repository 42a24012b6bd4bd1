"""Asking for goals that were seldom achieved: which ones, what an episode says then, and who plays it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from regoal import train
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.experience import Experience
from regoal.agent.idle import without_idle
from regoal.agent.replay_files import read_segments
from regoal.agent.validation import validated
from regoal.buffers import HindsightBuffer
from regoal.buffers.practice import asked_for
from regoal.errors import BadInput

from .fake_spec import point_spec
from .reference import FakeScorer, tagged_episode
from .test_resume import config
from .test_rollouts import assert_same_run

LENGTH = 4


def test_the_goal_is_the_one_that_is_achieved_least_often() -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 1_000)
    for number in (0, 0, 0, 0, 0, 0, 0, 1, 1):
        achieved = np.full((LENGTH + 1, 2), number, np.float64)
        buffer.add_episode(dataclasses.replace(tagged_episode(number, LENGTH), achieved_goal=achieved))
    rng = np.random.default_rng(0)
    assert {buffer.seldom_achieved(rng) for _ in range(50)} == {(1.0, 1.0)}


def test_candidates_come_from_episodes_that_changed_something() -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 1_000, marks=True)
    for number in range(20):  # each of them alone, but nothing was done for it
        achieved = np.full((LENGTH + 1, 2), 100 + number, np.float64)
        buffer.add_episode(dataclasses.replace(tagged_episode(number, LENGTH), achieved_goal=achieved))
    moved = np.repeat(np.arange(LENGTH + 1.0)[:, None], 2, axis=1)
    buffer.add_episode(dataclasses.replace(tagged_episode(0, LENGTH), achieved_goal=moved))
    rng = np.random.default_rng(0)
    assert {buffer.seldom_achieved(rng)[0] for _ in range(50)} <= {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("ends", [False, True])
def test_an_episode_is_scored_as_if_the_env_had_wanted_the_goal(ends: bool) -> None:
    spec = FakeScorer(max_episode_steps=LENGTH, can_terminate=ends)
    achieved = np.array([[0, 0], [1, 0], [2, 0], [2, 0], [3, 0]], np.float64)
    episode = dataclasses.replace(tagged_episode(0, LENGTH), achieved_goal=achieved, terminated=True)
    asked = asked_for(spec, episode, (2.0, 0.0))
    assert asked.desired_goal.tolist() == [2, 0]
    expected = [False, True] if ends else [False, True, True, False]
    assert asked.success.tolist() == expected
    assert asked.reward.tolist() == [0.0 if one else -1.0 for one in expected]
    assert asked.terminated == ends
    assert len(asked.observation) == len(asked.achieved_goal) == len(asked) + 1 == len(expected) + 1
    with_it = HindsightBuffer(spec, 100)
    with_it.add_episode(asked)  # which verifies its scores


def test_episodes_ask_for_what_was_achieved_whoever_plays_them(tmp_path: Path) -> None:
    runs = [tmp_path / str(workers) for workers in (0, 2)]
    for workers, run in zip((0, 2), runs, strict=True):
        train(config(run, practice=0.5, workers=workers, block_episodes=3, steps=1_500, keep_replay=True))
    assert_same_run(*runs)
    episodes = list(read_segments(runs[0], newest_checkpoint(runs[0]).segments))
    before: set[tuple[float, ...]] = set()
    asked = []
    for episode in episodes:
        asked.append(tuple(map(float, episode.desired_goal.astype(np.float32))) in before)
        before |= {tuple(map(float, goal)) for goal in episode.achieved_goal.astype(np.float32)}
    assert not any(asked[:3])  # nothing was achieved before the first block
    assert 0.2 < np.mean(asked) < 0.7


def test_steps_after_the_end_that_a_practised_goal_brings_are_counted_as_discarded(tmp_path: Path) -> None:
    run = train(
        config(
            tmp_path / "run",
            env_kwargs={"terminate_on_success": True},
            practice=1.0,
            steps=900,
            keep_replay=True,
        )
    )
    state = newest_checkpoint(run.path).state["progress"]["run"]
    episodes = list(read_segments(run.path, newest_checkpoint(run.path).segments))
    played = [len(episode) for episode in episodes]
    assert state["env_steps"] == sum(played)
    assert state["discarded_steps"] > 0
    ended = [episode for episode in episodes if episode.terminated]
    assert ended
    assert all(episode.success[-1] and not episode.success[:-1].any() for episode in ended)


def test_it_waits_for_goals_to_be_learned_and_for_something_to_be_achieved(tmp_path: Path) -> None:
    plain = TrainConfig("regoal/PointReach-v0", str(tmp_path), practice=1.0, steps=2_000)
    spec = point_spec()
    assert Experience(plain, spec).goals_to_practise(2) == [None, None]
    experience = Experience(dataclasses.replace(plain, discovery=1.0), spec)
    experience.own.add_episode(_still(spec.max_episode_steps), foreign=True)
    assert experience.goals_to_practise(2) == [None, None]
    experience.own.discovering = False
    assert None not in experience.goals_to_practise(2)


def _still(length: int):  # type: ignore[no-untyped-def]
    episode = tagged_episode(0, length)
    spec = point_spec()
    return dataclasses.replace(
        episode,
        observation=np.zeros((length + 1, spec.observation_size)),
        achieved_goal=np.zeros((length + 1, spec.goal_size)),
        desired_goal=np.ones(spec.goal_size),
        action=np.zeros((length, spec.action_size)),
    )


def test_it_belongs_to_hindsight_and_to_learning_from_nothing(tmp_path: Path) -> None:
    plain = TrainConfig("regoal/PointReach-v0", str(tmp_path), practice=0.5)
    for changes, told in (
        ({"relabel": "none"}, "practice: expected 0 where no goal is replaced"),
        ({"practice": 1.5}, r"practice: expected in \[0, 1\]"),
        ({"practice": -0.5}, "practice: expected 0 or more"),
    ):
        with pytest.raises(BadInput, match=told):
            validated(dataclasses.replace(plain, **changes))  # type: ignore[arg-type]
    dense = dataclasses.replace(plain, env="FetchReachDense-v4")
    with pytest.raises(BadInput, match="practice: expected 0 where compute_reward does not give exactly two"):
        train(dense)
    assert without_idle(plain).practice == 0.5
    assert without_idle(dataclasses.replace(plain, relabel="none")).practice == 0
    assert without_idle(dataclasses.replace(plain, source="x", mode="naive")).practice == 0

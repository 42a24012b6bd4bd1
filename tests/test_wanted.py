"""Goals that are wanted: seldom achieved for how often they are desired, and drawn the more."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from regoal import train
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.idle import without_idle
from regoal.agent.replay_files import read_segments
from regoal.agent.validation import validated
from regoal.buffers import HindsightBuffer, wanted
from regoal.buffers.wanted import PRIOR, WITNESSES, ranks_of
from regoal.errors import BadInput

from .reference import FakeScorer, origin, tagged_episode
from .test_resume import config

LENGTH = 4
COMMON, WANTED, ODD = (0.0, 0.0), (5.0, 0.0), (9.0, 9.0)  # ODD is achieved and never desired
NEAR, FAR = (0.0, 5.0), (-9.0, -9.0)  # FAR is desired and never achieved


def episode_to(number: int, achieved: tuple[float, float], desired: tuple[float, float]):  # type: ignore[no-untyped-def]
    """Starts where COMMON is achieved and ends where `achieved` is."""
    goals = np.array([COMMON, COMMON, COMMON, achieved, achieved])
    episode = dataclasses.replace(
        tagged_episode(number, LENGTH), achieved_goal=goals, desired_goal=np.array(desired)
    )
    reached = np.linalg.norm(goals[1:] - desired, axis=1) <= 0.5
    return dataclasses.replace(episode, reward=np.where(reached, 0.0, -1.0), success=reached)


def buffer_of(candidates: int) -> HindsightBuffer:
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=LENGTH), 2_000, candidates=candidates, informative_share=0.5
    )
    for number in range(200):
        achieved = ODD if number % 20 == 0 else WANTED if number % 20 == 1 else COMMON
        buffer.add_episode(episode_to(number, achieved, WANTED if number % 2 else COMMON))
    return buffer


def test_ranks_are_what_was_achieved_for_each_that_was_desired() -> None:
    buffer = buffer_of(2)
    goals = np.array([COMMON, WANTED, ODD], np.float32)
    rng = np.random.default_rng(0)
    ranks = np.mean([ranks_of(buffer._storage, buffer.goal_spec, goals, rng) for _ in range(50)], axis=0)
    achieved, desired = np.array([0.95, 0.025, 0.025]), np.array([0.5, 0.5, 0.0])
    expected = (WITNESSES * achieved + PRIOR) / (WITNESSES * desired + PRIOR)
    np.testing.assert_allclose(ranks, expected, rtol=0.1)
    empty = HindsightBuffer(FakeScorer(), 100, candidates=2)
    assert ranks_of(empty._storage, empty.goal_spec, goals, rng).tolist() == [1, 1, 1]


def test_wanted_goals_are_drawn_more_often_and_odd_ones_are_not() -> None:
    def shares(candidates: int) -> list[float]:
        batch = buffer_of(candidates).sample(40_000)
        goals = batch.desired_goal.numpy()[: batch.n_relabelled]
        return [float((goals == goal).all(axis=1).mean()) for goal in (WANTED, ODD)]

    (wanted, odd), (wanted_more, odd_more) = shares(1), shares(4)
    assert wanted == pytest.approx(odd, abs=0.01)
    assert wanted_more > 1.5 * wanted
    assert odd_more < 0.5 * odd


def moved(number: int, goals: list[tuple[float, float]], desired: tuple[float, float]):  # type: ignore[no-untyped-def]
    """An episode that achieves these goals, one after the other."""
    return dataclasses.replace(
        episode_to(number, COMMON, desired),
        achieved_goal=np.array(goals),
        success=np.zeros(LENGTH, np.bool_),
        reward=np.full(LENGTH, -1.0),
    )


def buffer_of_starts() -> HindsightBuffer:
    """In one episode of twenty things lie at WANTED and are taken away, in one they are brought to NEAR."""
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=LENGTH), 2_000, candidates=4, informative_share=1.0, n_sampled_goal=1
    )
    kinds = {0: [WANTED, WANTED, WANTED, COMMON, COMMON], 1: [COMMON, COMMON, COMMON, NEAR, NEAR]}
    for number in range(200):
        desired = NEAR if number % 4 == 0 else WANTED
        buffer.add_episode(moved(number, kinds.get(number % 10, [COMMON] * 5), FAR), foreign=True)
        buffer.add_episode(moved(number, [COMMON] * 5, desired), foreign=True)
    return buffer


def test_an_episode_is_wanted_for_where_it_got_to_and_not_for_where_it_began() -> None:
    goals = buffer_of_starts().sample(4_000).observation.numpy()[:, 0] % 10  # the number of the episode
    assert (goals == 1).mean() > 0.85
    assert (goals == 0).mean() > 0  # what is seldom wanted is seldom drawn, and not never


def test_what_is_practised_was_new_in_its_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, rng = buffer_of_starts(), np.random.default_rng(0)
    practised = [buffer.wanted_goal(rng) for _ in range(50)]
    assert {tuple(goal) for goal in practised if goal is not None} == {NEAR}
    # One state of five is new in the only episode there is: sometimes none of those that are drawn.
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 100, marks=True)
    buffer.add_episode(moved(0, [COMMON, WANTED, COMMON, COMMON, COMMON], FAR), foreign=True)
    monkeypatch.setattr(wanted, "PRACTISED_OF", 2)
    few = [buffer.wanted_goal(rng) for _ in range(200)]
    assert {None if goal is None else tuple(goal) for goal in few} == {None, WANTED}


@pytest.mark.parametrize("candidates", [1, 2, 4, 8])
def test_a_goal_that_is_achieved_already_is_wanted_less_than_any_that_is_not(candidates: int) -> None:
    """Things lie where it is wanted for most of the episode, and are then pushed to where it is not."""
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=LENGTH), 2_000, candidates=candidates, informative_share=1.0
    )
    for number in range(100):
        buffer.add_episode(moved(number, [COMMON] * 5, WANTED), foreign=True)
    for number in range(100):
        buffer.add_episode(moved(number, [WANTED, WANTED, WANTED, WANTED, COMMON], FAR), foreign=True)
    batch = buffer.sample(4_000)
    goals = batch.desired_goal.numpy()[: batch.n_relabelled]
    # At t = 0 one goal of four is new: six draws miss it in 0.18 of rows, and more candidates in fewer.
    assert (goals == COMMON).all(axis=1).mean() > 0.9


def test_of_the_goals_that_are_drawn_the_one_with_the_lowest_rank_is_taken() -> None:
    """By its rank alone: there is one episode, and nobody asks for what is new."""
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 100, candidates=4, n_sampled_goal=99)
    episode = moved(0, [COMMON, ODD, WANTED, ODD, ODD], FAR)
    buffer.add_episode(dataclasses.replace(episode, rank=np.array([1, 10, 0.1, 10, 10], np.float32)))
    batch = buffer.sample(20_000)
    n = batch.n_relabelled
    t, wanted = origin(batch).t[:n], (batch.desired_goal.numpy()[:n] == WANTED).all(axis=1)
    for at, of in ((0, 4), (1, 3)):  # one of so many states that come after is it
        assert wanted[t == at].mean() == pytest.approx(1 - (1 - 1 / of) ** 4, abs=0.03)


@pytest.mark.parametrize(("rank", "share_desired"), [(10.0, 1 - 1 / 2**8), (0.1, 1 / 2**8)])
def test_what_was_desired_has_the_rank_1_among_candidates(rank: float, share_desired: float) -> None:
    """Of eight goals, each achieved or desired by chance, desired ones win against ranks above 1 alone."""
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=LENGTH),
        100,
        strategy="1*future+1*desired",
        candidates=8,
        n_sampled_goal=99,
    )
    for number in range(3):
        episode = moved(number, [COMMON] * 5, FAR)
        buffer.add_episode(dataclasses.replace(episode, rank=np.full(LENGTH + 1, rank, np.float32)))
    assert buffer._storage.rank is not None
    buffer._storage.rank[-3:] = 1e6 if rank > 1 else 0.0  # the ring's end, where negative rows would lead
    batch = buffer.sample(20_000)
    desired = (batch.desired_goal.numpy()[: batch.n_relabelled] == FAR).all(axis=1)
    assert desired.mean() == pytest.approx(share_desired, abs=0.003)


def test_what_an_episode_ends_with_is_practised_too() -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 100, marks=True)
    buffer.add_episode(moved(0, [COMMON, COMMON, COMMON, COMMON, WANTED], FAR))
    goal = buffer.wanted_goal(np.random.default_rng(0))
    assert goal is not None
    assert tuple(goal) == WANTED


def test_an_episode_desires_once_however_soon_its_goal_ends_it() -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=50), 20_000, candidates=2)
    for number in range(100):
        length, desired = (2, WANTED) if number % 2 else (50, ODD)
        episode = dataclasses.replace(tagged_episode(number, length), desired_goal=np.array(desired))
        buffer.add_episode(episode, foreign=True)
    goals = np.array([WANTED, ODD], np.float32)
    rng = np.random.default_rng(0)
    ranks = [ranks_of(buffer._storage, buffer.goal_spec, goals, rng) for _ in range(50)]
    wanted, odd = np.mean(ranks, axis=0)
    assert wanted == pytest.approx(odd, rel=0.2)


def test_candidates_that_are_none_are_refused() -> None:
    with pytest.raises(BadInput, match="candidates: expected 1 or more, got 0"):
        HindsightBuffer(FakeScorer(), 100, candidates=0)


def test_ranks_that_are_none_are_refused() -> None:
    episode = dataclasses.replace(episode_to(0, WANTED, WANTED), rank=np.ones(LENGTH, np.float32))
    with pytest.raises(BadInput, match=r"episode\.rank: expected shape \(5,\), got shape \(4,\)"):
        buffer_of(2).add_episode(episode)


def test_ranks_are_kept_with_the_episodes_and_not_worked_out_again(tmp_path: Path) -> None:
    run = train(config(tmp_path / "run", candidates=3, steps=600, keep_replay=True)).path
    episodes = list(read_segments(run, newest_checkpoint(run).segments))
    ranks = [episode.rank for episode in episodes]
    assert all(
        rank is not None and len(rank) == len(one) + 1 for one, rank in zip(episodes, ranks, strict=True)
    )
    assert len({float(value) for rank in ranks if rank is not None for value in rank}) > 10
    plain = train(config(tmp_path / "plain", steps=300, keep_replay=True)).path
    assert {one.rank is None for one in read_segments(plain, newest_checkpoint(plain).segments)} == {True}


def test_it_is_refused_where_it_cannot_work(tmp_path: Path) -> None:
    plain = TrainConfig("regoal/PointReach-v0", str(tmp_path), candidates=4)
    for changes, told in (
        ({"relabel": "none"}, "candidates: expected 1 where no goal is replaced"),
        ({"candidates": 0}, "candidates: expected 1 to 100"),
    ):
        with pytest.raises(BadInput, match=told):
            validated(dataclasses.replace(plain, **changes))  # type: ignore[arg-type]
    for name, value, idle in (("candidates", 4, 1), ("informative_share", 0.5, 0), ("imitation", 2.0, 0)):
        told = f"{name}: expected {idle} where compute_reward does not give exactly two"
        config = TrainConfig("FetchReachDense-v4", str(tmp_path / "run"), **{name: value})  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=told):
            train(config)
    assert without_idle(plain).candidates == 4
    assert without_idle(dataclasses.replace(plain, relabel="none")).candidates == 1

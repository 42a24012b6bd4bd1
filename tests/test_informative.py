"""Informative hindsight: batches from episodes that teach something, with goals not achieved already."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from regoal.agent.config import DDPGConfig, TrainConfig
from regoal.agent.experience import Experience
from regoal.agent.learner import make_learner
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.validation import validated
from regoal.buffers import Episode, HindsightBuffer
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

from .reference import FakeScorer, origin, tagged_episode

LONGEST = 6
some_lengths = st.lists(st.integers(1, LONGEST), min_size=1, max_size=40)
some_seed = st.integers(0, 2**32 - 1)


def still_episode(number: int, length: int) -> Episode:
    """Nothing moves: every state has achieved (number, 0), as the object that no hand has found."""
    episode = tagged_episode(number, length)
    achieved = np.array(episode.achieved_goal)
    achieved[:, 1] = 0.0
    return replace(episode, achieved_goal=achieved)


def mixed_buffer(
    lengths: list[int],
    still: set[int],
    share: float,
    *,
    seed: int = 0,
    capacity: int = 60,
    k: int = 4,
    strategy: str = "future",
) -> HindsightBuffer:
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=LONGEST),
        capacity,
        strategy=strategy,
        n_sampled_goal=k,
        seed=seed,
        informative_share=share,
    )
    for number, length in enumerate(lengths):
        buffer.add_episode((still_episode if number in still else tagged_episode)(number, length))
    return buffer


@given(lengths=some_lengths, share=st.floats(0.01, 1), capacity=st.integers(LONGEST, 60), seed=some_seed)
def test_as_many_rows_as_asked_for_come_from_episodes_in_which_something_moved(
    lengths: list[int], share: float, capacity: int, seed: int
) -> None:
    still = set(range(0, len(lengths), 2))
    buffer = mixed_buffer(lengths, still, share, seed=seed, capacity=capacity)
    batch = buffer.sample(100)
    held = set(origin(buffer.sample(2_000)).number.tolist())
    moved = sum(int(number) not in still for number in origin(batch).number)
    if held <= still:  # whatever moved has left the ring, or there never was any
        assert moved == 0
    else:
        assert moved >= int(100 * share)
    assert len(batch) == 100


@given(lengths=some_lengths, seed=some_seed)
def test_goals_are_new_where_the_future_holds_any_new_one(lengths: list[int], seed: int) -> None:
    """States achieve (number, t), and a goal counts as reached within half a step: all later ones are new."""
    batch = mixed_buffer(lengths, set(), 1.0, seed=seed).sample(200)
    rows, goal = origin(batch), batch.desired_goal.numpy()
    relabelled = slice(batch.n_relabelled)
    assert (goal[relabelled, 1] > rows.t[relabelled]).all()
    assert (goal[relabelled, 1] <= np.array(lengths)[rows.number[relabelled].astype(int)]).all()
    assert (goal[relabelled, 0] == rows.number[relabelled]).all(), "of the same episode"


def test_a_goal_that_is_achieved_already_is_drawn_again() -> None:
    """The object rests for three of four steps, then is pushed: three of four future goals teach nothing."""
    episode = tagged_episode(0, 8)
    achieved = np.array(episode.achieved_goal)
    achieved[:, 1] = [0, 0, 0, 0, 0, 0, 0, 5, 5]
    scorer = FakeScorer(max_episode_steps=8)
    new: dict[float, float] = {}
    for share in (0.0, 1.0):
        buffer = HindsightBuffer(scorer, 8, n_sampled_goal=99, seed=3, informative_share=share)
        buffer.add_episode(replace(episode, achieved_goal=achieved))
        batch = buffer.sample(4_000)
        t, goal = origin(batch).t[: batch.n_relabelled], batch.desired_goal[: batch.n_relabelled, 1].numpy()
        new[share] = float((goal[t == 0] == 5).mean())
        assert (goal[t >= 7] == 5).all()  # nothing else is left: it is kept, not drawn for ever
    assert new[0.0] == pytest.approx(2 / 8, abs=0.06)
    # Each of five more draws finds a new goal with probability 1/4.
    assert new[1.0] == pytest.approx(1 - (3 / 4) ** 6, abs=0.06)


def test_new_goals_go_to_the_rows_that_were_drawn_as_informative() -> None:
    """Of two episodes one stays still: half of all rows are drawn from the other, and half from both."""
    achieved = np.array(tagged_episode(1, 8).achieved_goal)
    achieved[:, 1] = [0, 0, 0, 0, 0, 0, 0, 5, 5]
    buffer = HindsightBuffer(
        FakeScorer(max_episode_steps=8), 100, n_sampled_goal=99, seed=3, informative_share=0.5
    )
    buffer.add_episode(still_episode(0, 8))
    buffer.add_episode(replace(tagged_episode(1, 8), achieved_goal=achieved))
    batch = buffer.sample(60_000)
    n = batch.n_relabelled
    rows, goal = origin(batch), batch.desired_goal.numpy()[:n]
    first = (rows.number[:n] == 1) & (rows.t[:n] == 0)
    asked, chance = 0.5 / (0.5 + 0.25), 2 / 8  # of the rows of that episode; of a new goal in one draw
    expected = asked * (1 - (1 - chance) ** 6) + (1 - asked) * chance
    assert (goal[first, 1] == 5).mean() == pytest.approx(expected, abs=0.03)


def test_a_mixture_draws_again_what_is_achieved_already_from_any_of_its_parts() -> None:
    """The object is pushed with the first step and rests: no later state holds a goal that is new there.

    What the other episode desired is new everywhere: one draw in four of the desired half. What each
    episode itself desired is where it was pushed to, so that `desired` alone draws again, too.
    """
    scorer = FakeScorer(max_episode_steps=8)
    new: dict[tuple[str, float], float] = {}
    for strategy in ("1*future+1*desired", "future", "desired"):
        for share in (0.0, 1.0):
            buffer = HindsightBuffer(
                scorer, 16, strategy=strategy, n_sampled_goal=99, seed=3, informative_share=share
            )
            for number in (0, 1):
                episode = tagged_episode(number, 8)
                achieved = np.array(episode.achieved_goal)
                achieved[:, 1] = [0, 5, 5, 5, 5, 5, 5, 5, 5]
                desired = np.array([number, 5.0])
                reward = scorer.reward(achieved[1:], np.broadcast_to(desired, (8, 2)))
                buffer.add_episode(
                    replace(episode, achieved_goal=achieved, desired_goal=desired, reward=reward)
                )
            batch = buffer.sample(6_000)
            rows, n = origin(batch), batch.n_relabelled
            resting, goal = rows.t[:n] >= 1, batch.desired_goal[:n].numpy()
            assert (goal[:, 1] == 5).all()
            new[strategy, share] = float((goal[resting, 0] != rows.number[:n][resting]).mean())
    for strategy, chance in (("1*future+1*desired", 1 / 4), ("future", 0.0), ("desired", 1 / 2)):
        assert new[strategy, 0.0] == pytest.approx(chance, abs=0.03)
        assert new[strategy, 1.0] == pytest.approx(1 - (1 - chance) ** 6, abs=0.03)  # five more draws


@given(lengths=st.lists(st.integers(1, LONGEST), min_size=12, max_size=40), seed=st.integers(0, 99))
def test_a_mixture_leaves_no_goal_achieved_already_where_most_are_new(lengths: list[int], seed: int) -> None:
    """Of all that `rfaab` draws here nothing but the state at t itself is achieved there."""
    buffer = mixed_buffer(lengths, set(), 1.0, seed=seed, strategy="rfaab")
    batch, trace = buffer.sample_traced(200)
    relabelled = slice(batch.n_relabelled)
    goal = batch.desired_goal.numpy()[relabelled]
    assert (np.abs(trace.achieved_goal[relabelled] - goal).max(axis=1) > 0.5).all()
    assert trace.relabelled.sum() == batch.n_relabelled


def test_transitions_of_informative_episodes_are_drawn_uniformly_after_the_ring_went_round() -> None:
    lengths = [1 + number % LONGEST for number in range(40)]
    buffer = mixed_buffer(lengths, set(range(0, 40, 3)), 1.0, seed=5)
    rows = origin(buffer.sample(30_000))
    drawn, counts = np.unique(np.stack([rows.number, rows.t]), axis=1, return_counts=True)
    numbers = sorted(set(drawn[0].astype(int)))
    assert numbers == [number for number in range(numbers[0], 40) if number % 3]
    assert len(counts) == sum(lengths[number] for number in numbers), "every transition, and no other"
    assert chisquare(counts).pvalue > 1e-4


def test_the_share_is_spread_over_relabelled_and_real_goals() -> None:
    buffer = mixed_buffer([5, 5], {0}, 0.6)
    batch = buffer.sample(20_000)
    moved = origin(batch).number == 1
    expected = 0.6 + 0.4 / 2  # half of what is drawn from everywhere is from the one that moved
    assert moved[: batch.n_relabelled].mean() == pytest.approx(expected, abs=0.015)
    assert moved[batch.n_relabelled :].mean() == pytest.approx(expected, abs=0.015)


@settings(max_examples=20)
@given(lengths=some_lengths, seed=some_seed)
def test_lowered_to_nothing_it_draws_as_a_buffer_that_never_heard_of_it(
    lengths: list[int], seed: int
) -> None:
    plain, lowered = (
        mixed_buffer(lengths, {0, 3}, 0.0, seed=seed),
        mixed_buffer(lengths, {0, 3}, 0.7, seed=seed),
    )
    lowered.informative_share = 0.0
    one, other = plain.sample(50), lowered.sample(50)
    assert torch.equal(one.observation, other.observation)
    assert torch.equal(one.desired_goal, other.desired_goal)


def test_the_env_is_never_asked_of_no_pairs() -> None:
    """Some functions of envs cannot answer: numpy.vectorize raises on empty arrays."""

    class NeverNone(FakeScorer):
        def reward(self, achieved_goal: Any, desired_goal: Any) -> Any:
            assert len(achieved_goal)
            return super().reward(achieved_goal, desired_goal)

    for candidates in (1, 3):
        buffer = HindsightBuffer(
            NeverNone(max_episode_steps=LONGEST), 60, informative_share=0.002, candidates=candidates
        )
        for number in range(6):
            buffer.add_episode((still_episode if number % 2 else tagged_episode)(number, LONGEST))
        for size in (1, 2, 64, 256):
            for _ in range(20):
                buffer.sample(size)


def test_it_is_the_envs_own_reward_that_tells_what_is_informative() -> None:
    """The same push of 3 cm is new where goals must be met to within 1 cm, and nothing where 5 cm will do."""
    share_drawn = {}
    for threshold in ("1", "0.2"):
        spec = GoalSpec.of("FetchPush-v4", shift=f"reward_threshold={threshold}")
        buffer = HindsightBuffer(spec, 1_000, informative_share=1.0)
        rng = np.random.default_rng(0)
        for index in range(10):
            achieved = np.tile([1.3, 0.7, 0.42], (51, 1))
            if index < 2:
                achieved[25:, 0] += 0.03
            goal = np.array([1.5, 0.9, 0.42])
            episode = Episode(
                observation=rng.normal(size=(51, 25)),
                achieved_goal=achieved,
                desired_goal=goal,
                action=rng.uniform(-1, 1, (50, 4)),
                reward=np.full(50, -1.0, np.float32),
                terminated=False,
                success=np.zeros(50, np.bool_),
                index=index,
                env="FetchPush-v4",
            )
            buffer.add_episode(episode)
        seen = buffer.sample(500).next_observation.numpy()
        moved = np.isin(seen[:, 0].astype(np.float32), first_observations(buffer, 2))
        share_drawn[threshold] = moved.mean()
        spec.close()
    assert share_drawn["0.2"] == 1.0
    assert share_drawn["1"] == pytest.approx(0.2, abs=0.08)


def first_observations(buffer: HindsightBuffer, episodes: int) -> np.ndarray:
    """The first observation column of the oldest episodes."""
    storage = buffer._storage
    rows = [
        np.arange(storage.first_row[slot], storage.first_row[slot] + storage.length[slot] + 1)
        for slot in list(storage.slots())[:episodes]
    ]
    return storage.observation[np.concatenate(rows), 0]


def test_the_share_of_a_run_falls_as_it_is_told(tmp_path: Path) -> None:
    config = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(tmp_path / "run"),
        informative_share=0.8,
        informative_share_steps=1_000,
    )
    spec = GoalSpec.of(config.env)
    experience = Experience(config, spec)
    env = spec.recipe.build()
    policy = untrained_policy(spec)
    experience.add(play(env, spec, policy, seed=0, exploration=np.random.default_rng(0)))
    shares = []
    for steps in (0, 250, 1_000, 5_000):
        experience.sample(8, steps)
        shares.append(experience.own.informative_share)
    assert shares == pytest.approx([0.8, 0.6, 0.0, 0.0])
    env.close()
    spec.close()


def untrained_policy(spec: GoalSpec) -> Policy:
    normaliser = Normaliser(spec.observation_size, spec.goal_size)
    return make_learner(DDPGConfig(hidden=(8,)), spec, normaliser, 0).policy()


@pytest.mark.parametrize(
    ("settings_", "where"),
    [
        ({"informative_share": 1.5}, "informative_share"),
        ({"informative_share": -0.1}, "informative_share"),
        ({"informative_share": 0.5, "relabel": "none"}, "informative_share"),
        ({"informative_share": 0.5, "n_sampled_goal": 0}, "informative_share"),
        ({"informative_share": 0.5, "informative_share_steps": -1}, "informative_share_steps"),
    ],
)
def test_what_makes_no_sense_is_refused(settings_: dict[str, object], where: str) -> None:
    with pytest.raises(BadInput, match=where):
        validated(TrainConfig(env="regoal/PointReach-v0", out="x", **settings_))  # type: ignore[arg-type]


def test_a_buffer_refuses_a_share_that_is_none() -> None:
    with pytest.raises(BadInput, match="informative_share"):
        HindsightBuffer(FakeScorer(), 100, informative_share=1.2)

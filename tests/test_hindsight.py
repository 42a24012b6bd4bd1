"""The hindsight buffer: its batches, its share of relabelled rows, and what it refuses."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regoal.buffers import Batch, Episode, HindsightBuffer
from regoal.buffers.scores import require_scores
from regoal.buffers.storage import Transitions
from regoal.buffers.strategies import NAMES
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput, EnvFault, TrainingFault

from .reference import FakeScorer, ReferenceBuffer, origin, tagged_buffer, tagged_episode

LONGEST = 6

a_length = st.integers(1, LONGEST)
# Few episodes, and enough of them to go round the ring several times.
some_lengths = st.lists(a_length, min_size=1, max_size=12) | st.lists(a_length, min_size=30, max_size=60)
some_seed = st.integers(0, 2**32 - 1)


def scorer_of(can_terminate: bool = False) -> FakeScorer:
    return FakeScorer(max_episode_steps=LONGEST, can_terminate=can_terminate)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {f.name: getattr(batch, f.name) for f in fields(batch) if not f.name.startswith("n_")}


def same(one: Batch, other: Batch) -> bool:
    return one.n_relabelled == other.n_relabelled and all(
        torch.equal(value, tensors(other)[name]) for name, value in tensors(one).items()
    )


# Batches


@settings(max_examples=60)
@given(
    lengths=some_lengths,
    capacity=st.integers(LONGEST, 40),
    strategy=st.sampled_from(NAMES),
    k=st.integers(0, 6),
    can_terminate=st.booleans(),
    seed=some_seed,
)
def test_batches_are_those_of_the_plain_loops(
    lengths: list[int], capacity: int, strategy: str, k: int, can_terminate: bool, seed: int
) -> None:
    scorer = scorer_of(can_terminate)
    buffer = HindsightBuffer(scorer, capacity, strategy=strategy, n_sampled_goal=k, seed=seed)
    reference = ReferenceBuffer(scorer, capacity, strategy, k, seed)
    for number, length in enumerate(lengths):
        episode = tagged_episode(number, length, scorer, aim=length if number % 2 else -9)
        buffer.add_episode(episode)
        reference.storage.add(episode)
        if number % 7 == 0:  # sampling between adds must not disturb either
            assert len(buffer.sample(3)) == len(reference.sample(3))
    for batch_size in (1, 2, 17):
        batch, expected = buffer.sample(batch_size), reference.sample(batch_size)
        assert len(batch) == len(expected) == batch_size
        for name, values in tensors(batch).items():
            for row, value in enumerate(values):
                wanted = np.asarray(expected[row][name]).astype(value.numpy().dtype)
                assert np.array_equal(value.numpy(), wanted), (name, row)


def test_shapes_and_dtypes() -> None:
    batch = tagged_buffer([3, 5]).sample(32)
    expected = {
        "observation": ((32, 3), torch.float32),
        "next_observation": ((32, 3), torch.float32),
        "desired_goal": ((32, 2), torch.float32),
        "action": ((32, 1), torch.float32),
        "reward": ((32,), torch.float32),
        "terminated": ((32,), torch.bool),
        "new_goal": ((32,), torch.bool),
    }
    assert {name: (tuple(v.shape), v.dtype) for name, v in tensors(batch).items()} == expected


@given(lengths=some_lengths, strategy=st.sampled_from(NAMES), seed=some_seed)
def test_each_row_is_one_step_of_one_episode_with_its_own_action(
    lengths: list[int], strategy: str, seed: int
) -> None:
    buffer = HindsightBuffer(scorer_of(), 30, strategy=strategy, seed=seed)
    for number, length in enumerate(lengths):
        buffer.add_episode(tagged_episode(number, length))
    batch = buffer.sample(64)
    rows = origin(batch)
    assert np.array_equal(rows.next_number, rows.number)
    assert np.array_equal(rows.next_t, rows.t + 1)
    action = -1 + rows.t / 64 + rows.number / 1024  # as the episodes are tagged
    assert np.array_equal(batch.action[:, 0].numpy(), action.astype(np.float32))


def test_a_batch_may_be_empty() -> None:
    batch = tagged_buffer([3, 5]).sample(0)
    assert len(batch) == batch.n_relabelled == 0


# The share of relabelled rows


@given(st.integers(1, 600), st.integers(0, 12), some_seed)
def test_the_share_is_k_of_k_plus_1_to_within_one_row(batch_size: int, k: int, seed: int) -> None:
    batch = tagged_buffer([4], n_sampled_goal=k, seed=seed).sample(batch_size)
    exact = batch_size * k / (k + 1)
    assert np.floor(exact) <= batch.n_relabelled <= np.ceil(exact)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
@pytest.mark.parametrize("k", [1, 4, 8])
def test_the_share_is_k_of_k_plus_1_on_average_for_small_batches(batch_size: int, k: int) -> None:
    buffer = tagged_buffer([4, 6], n_sampled_goal=k)
    relabelled = sum(buffer.sample(batch_size).n_relabelled for _ in range(3000))
    share = k / (k + 1)
    # Of the 3000 roundings each has a variance of at most 1/4: five standard deviations.
    assert abs(relabelled - 3000 * batch_size * share) <= 5 * np.sqrt(3000 / 4)


@given(some_seed, st.integers(1, 50))
def test_rows_past_n_relabelled_keep_the_goal_that_was_desired(seed: int, batch_size: int) -> None:
    batch = tagged_buffer([4, 6, 2], strategy="random", seed=seed).sample(batch_size)
    rows, n = origin(batch), batch.n_relabelled
    assert np.array_equal(rows.goal_number[n:], rows.number[n:])
    assert (np.isin(rows.goal_t[n:], [-9, 4]) & ((rows.goal_t[n:] == 4) == (rows.number[n:] == 0))).all()


@pytest.mark.parametrize(("strategy", "k"), [("future", 0), ("none", 4)])
def test_without_hindsight_nothing_is_relabelled(strategy: str, k: int) -> None:
    buffer = tagged_buffer([4], strategy=strategy, n_sampled_goal=k)
    assert not buffer.relabels
    assert buffer.sample(100).n_relabelled == 0


# Memory


def test_a_batch_in_reused_memory_is_the_same_batch() -> None:
    fresh, reused = tagged_buffer([3, 5, 8]), tagged_buffer([3, 5, 8])
    for batch_size in (5, 64, 64, 7, 64):
        assert same(fresh.sample(batch_size), reused.sample(batch_size, reuse=True))


def test_only_reused_memory_is_written_again() -> None:
    buffer = tagged_buffer([3, 5, 8])
    kept = buffer.sample(64)
    copied = {name: value.clone() for name, value in tensors(kept).items()}
    first, second = buffer.sample(64, reuse=True), buffer.sample(64, reuse=True)
    assert second.observation.data_ptr() == first.observation.data_ptr() != kept.observation.data_ptr()
    assert all(torch.equal(value, copied[name]) for name, value in tensors(kept).items())


def test_a_buffer_on_disk_gives_the_same_batches(tmp_path: Path) -> None:
    scorer = scorer_of()
    buffers = [HindsightBuffer(scorer, 40, seed=3, disk=disk) for disk in (None, tmp_path)]
    for number in range(30):
        for buffer in buffers:
            buffer.add_episode(tagged_episode(number, 1 + number % LONGEST))
    assert same(buffers[0].sample(200), buffers[1].sample(200))


# Seeds


@pytest.mark.parametrize("strategy", NAMES)
def test_the_same_seed_gives_the_same_batches(strategy: str) -> None:
    one, other = (tagged_buffer([3, 5, 8], strategy=strategy, seed=7) for _ in range(2))
    for batch_size in (5, 64, 1, 256):
        assert same(one.sample(batch_size), other.sample(batch_size))


@pytest.mark.parametrize("strategy", NAMES)
def test_another_seed_gives_other_batches(strategy: str) -> None:
    one, other = (tagged_buffer([3, 5, 8], strategy=strategy, seed=seed) for seed in (7, 8))
    assert not same(one.sample(64), other.sample(64))


def test_batches_of_one_buffer_differ() -> None:
    buffer = tagged_buffer([3, 5, 8])
    assert not same(buffer.sample(64), buffer.sample(64))


def test_sampling_leaves_the_global_generators_alone() -> None:
    buffer = tagged_buffer([3, 5, 8])
    numpy_state, torch_state = str(np.random.get_state()), torch.get_rng_state()
    buffer.sample(64)
    assert str(np.random.get_state()) == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize("make", [np.random.SeedSequence, np.random.default_rng])
def test_seed_may_be_a_sequence_or_a_generator(make: Callable[[int], Any]) -> None:
    one, other = (tagged_buffer([3, 5], seed=make(3)) for _ in range(2))
    assert same(one.sample(20), other.sample(20))


# What is refused; nothing that is refused is stored


def assert_refused(episode: Episode, message: str, scorer: FakeScorer | None = None) -> BadInput:
    buffer = HindsightBuffer(scorer or scorer_of(), 20)
    buffer.add_episode(tagged_episode(0, 2))
    with pytest.raises(BadInput, match=message) as caught:
        buffer.add_episode(episode)
    assert len(buffer) == 2
    assert len(buffer.sample(5)) == 5
    return caught.value


@pytest.mark.parametrize("field", ["observation", "achieved_goal", "action", "reward"])
def test_a_row_too_few_is_refused(field: str) -> None:
    episode = tagged_episode(1, 4)
    assert_refused(replace(episode, **{field: getattr(episode, field)[:-1]}), r"episode\.\w+: expected shape")


@pytest.mark.parametrize("field", ["observation", "achieved_goal", "action"])
def test_a_column_too_many_is_refused_by_name(field: str) -> None:
    episode = tagged_episode(1, 4)
    value = getattr(episode, field)
    wide = np.concatenate([value, value[:, :1]], axis=1)
    fault = assert_refused(replace(episode, **{field: wide}), rf"episode\.{field}: expected shape")
    assert str(wide.shape) in str(fault)
    assert str(value.shape) in str(fault)


def test_a_desired_goal_for_each_step_is_refused() -> None:
    episode = tagged_episode(1, 4)
    assert_refused(
        replace(episode, desired_goal=np.tile(episode.desired_goal, (5, 1))),
        r"episode\.desired_goal: expected shape \(2,\)",
    )


def test_a_row_that_would_broadcast_is_refused() -> None:
    episode = tagged_episode(1, 4)
    assert_refused(replace(episode, observation=episode.observation[0]), r"episode\.observation")


@pytest.mark.parametrize("field", ["observation", "achieved_goal", "desired_goal", "action", "reward"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_single_precision_cannot_hold_is_refused_by_name(field: str, bad: float) -> None:
    episode = tagged_episode(1, 4)
    value = getattr(episode, field).astype(np.float64)
    value[-1:] = bad
    fault = assert_refused(replace(episode, **{field: value}), rf"{field} at .*expected a finite")
    assert isinstance(fault, TrainingFault if field == "action" else EnvFault)


def test_actions_in_other_units_are_refused() -> None:
    episode = tagged_episode(1, 4)
    assert_refused(replace(episode, action=episode.action * 0 + 5), r"\[-1, 1\]")


@pytest.mark.parametrize("length", [0, LONGEST + 1])
def test_an_episode_of_impossible_length_is_refused(length: int) -> None:
    assert_refused(tagged_episode(1, length), rf"episode length: expected 1 to {LONGEST} steps, got {length}")


@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_reward_that_does_not_follow_from_the_goals_is_named(step: int) -> None:
    episode = tagged_episode(3, 5)
    reward = episode.reward.copy()
    reward[step:] = -7.5  # from there on: the first one is named
    fault = assert_refused(replace(episode, reward=reward), f"episode 3 reward at step {step}")
    assert isinstance(fault, EnvFault)
    assert "compute_reward" in fault.expected
    assert fault.expected.endswith("= -1")
    assert fault.got == "-7.5"


def test_rewards_equal_up_to_rounding_are_accepted() -> None:
    episode = tagged_episode(3, 5)
    buffer = HindsightBuffer(scorer_of(), 20)
    buffer.add_episode(replace(episode, reward=episode.reward * (1 + 1e-7)))
    assert len(buffer) == 5


def _edge(spec: GoalSpec) -> float:
    """The greatest x in single precision from which (0.3, 0) is reached."""
    low, high = np.float32(0.3), np.float32(1.3)
    while np.nextafter(low, high) < high:
        middle = np.float32((low + high) / 2)
        there = spec.reward(np.array([[middle, 0.0]], np.float32), np.array([[0.3, 0.0]], np.float32))[0] == 0
        low, high = (middle, high) if there else (low, middle)
    return float(low)


@pytest.mark.parametrize("terminates", [False, True])
@pytest.mark.parametrize(
    ("steps_of_rounding", "refused"), [(0, False), (1, False), (2, False), (40, True), (100_000, True)]
)
def test_an_env_that_scores_in_double_precision_may_differ_by_rounding_at_the_edge(
    terminates: bool, steps_of_rounding: int, refused: bool
) -> None:
    """It says that the goal is reached, from a place that is a little too far in single precision."""
    spec = GoalSpec.of("regoal/PointReach-v0", terminate_on_success=terminates)
    x = np.float32(_edge(spec))
    x = x + np.float32(steps_of_rounding) * np.spacing(x)
    episode = Episode(
        observation=np.zeros((2, 4), np.float32),
        achieved_goal=np.array([[1.4, 0.0], [x, 0.0]], np.float32),
        desired_goal=np.array([0.3, 0.0], np.float32),
        action=np.zeros((1, 2), np.float32),
        reward=np.zeros(1, np.float32),
        terminated=terminates,
        success=np.ones(1, np.bool_),
        index=0,
    )
    buffer = HindsightBuffer(spec, 60, n_sampled_goal=0)
    if refused:
        with pytest.raises(EnvFault, match="reward at step 0"):
            buffer.add_episode(episode)
    else:
        buffer.add_episode(episode)
        told = buffer.sample(4).reward.numpy()
        assert (told == spec.reward(episode.achieved_goal[1:], episode.desired_goal[None])).all()
    spec.close()


@pytest.mark.parametrize(
    ("achieved", "desired", "threshold", "told"),
    [
        (np.array([5, 7]), np.array([7, 7]), 2.0, -1.0),  # whole numbers are not rounded
        (np.array([1e5, 0.13], np.float32), np.array([1e5, 0.0], np.float32), 0.05, 0.0),
        (np.array([2.0, 0.0]), np.array([0.0, 0.0]), 2.0, -1.0),  # < and <= are two rewards
    ],
    ids=["integers", "scales", "double precision"],
)
def test_rounding_excuses_no_other_reward(
    achieved: np.ndarray, desired: np.ndarray, threshold: float, told: float
) -> None:
    class Near(FakeScorer):
        def reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.ndarray:
            distance = np.abs(achieved_goal.astype(np.float64) - desired_goal).max(axis=-1)
            return np.where(distance <= threshold, 0.0, -1.0).astype(np.float32)

    scorer = Near(max_episode_steps=LONGEST)
    one = tagged_episode(1, 1)
    episode = replace(
        one, achieved_goal=np.stack([achieved, achieved]), desired_goal=desired, reward=np.array([told])
    )
    with pytest.raises(EnvFault, match="reward at step 0"):
        require_scores(scorer, episode)


@pytest.mark.parametrize(
    ("scorer", "terminated", "aim", "step", "expected", "fix"),
    [
        (scorer_of(False), True, 5, 4, "False", "Give the env a compute_terminated"),
        (scorer_of(True), True, -9, 4, "False", "two goals alone"),
        (scorer_of(True), False, 5, 4, "True", "two goals alone"),
        (scorer_of(True), False, 3, 2, "True", "two goals alone"),  # it should have ended there
    ],
)
def test_a_termination_that_does_not_follow_from_the_goals_is_named(
    scorer: FakeScorer, terminated: bool, aim: int, step: int, expected: str, fix: str
) -> None:
    episode = replace(tagged_episode(3, 5, scorer, aim), terminated=terminated)
    fault = assert_refused(episode, f"episode 3 terminated at step {step}", scorer)
    assert isinstance(fault, EnvFault)
    assert fault.expected.endswith(f"= {expected}")
    assert fix in fault.fix


def test_capacity_below_one_episode_is_refused() -> None:
    with pytest.raises(BadInput, match="buffer capacity"):
        HindsightBuffer(scorer_of(), LONGEST - 1)
    assert HindsightBuffer(scorer_of(), LONGEST).capacity == LONGEST


def test_a_negative_number_of_goals_is_refused() -> None:
    with pytest.raises(BadInput, match="n_sampled_goal: expected 0 or more, got -1"):
        HindsightBuffer(scorer_of(), 20, n_sampled_goal=-1)


def test_an_unknown_strategy_is_refused_before_anything_is_stored() -> None:
    with pytest.raises(BadInput, match=r"Did you mean future\?"):
        HindsightBuffer(scorer_of(), 20, strategy="futrue")


def test_sampling_an_empty_buffer_is_refused() -> None:
    buffer = HindsightBuffer(scorer_of(), 20)
    assert len(buffer) == 0
    with pytest.raises(BadInput, match="empty buffer"):
        buffer.sample(4)


# Strategies of the user's own


def test_a_users_function_or_its_name_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_goals.py").write_text("def last(at, rng):\n    return at.first_row + at.length\n")
    monkeypatch.syspath_prepend(tmp_path)
    shipped, by_name, by_hand = (
        tagged_buffer([3, 5, 8], strategy=strategy)
        for strategy in ("final", "my_goals:last", lambda at, rng: at.first_row + at.length)
    )
    expected = shipped.sample(64)
    assert same(by_name.sample(64), expected)
    assert same(by_hand.sample(64), expected)


@pytest.mark.parametrize(
    ("strategy", "got"),
    [
        (lambda at, rng: (at.first_row + at.length).astype(float), "float64"),
        (lambda at, rng: (at.first_row + at.length)[:-1], r"shape \(79,\)"),
        (lambda at, rng: (at.first_row + at.length)[:, None], r"shape \(80, 1\)"),
        (lambda at, rng: 3, r"shape \(\)"),
        (lambda at, rng: None, "object"),
        (lambda at, rng: at.t * 0 - 3, "row -3"),  # slot 2, the first without an episode
        (lambda at, rng: at.t * 0 + np.iinfo(np.int64).min, "row -9223372036854775808"),
        (lambda at, rng: at.t * 0 - 1 - len(at.storage.length), "row -"),  # not slot 0 once more
        (lambda at, rng: at.t * 0 + len(at.storage.achieved_goal), "row 1"),
        (lambda at, rng: at.t * 0 + len(at.storage.achieved_goal) - 1, "row 1"),  # never written
        (lambda at, rng: at.t * 0 + 10, "row 10"),  # the first past the newest episode
        (lambda at, rng: at.first_row + at.t > 0, "bool"),
    ],
)
def test_what_a_users_function_must_not_return_is_refused(strategy: Any, got: str) -> None:
    buffer = tagged_buffer([3, 5], strategy=strategy, capacity=100)
    with pytest.raises(BadInput, match=f"relabel: expected .*integer rows.*got .*{got}"):
        buffer.sample(100)


def test_a_row_of_an_overwritten_episode_is_refused() -> None:
    scorer = scorer_of()
    buffer = HindsightBuffer(scorer, 2 * LONGEST, strategy=lambda at, rng: at.t * 0)
    buffer.add_episode(tagged_episode(0, LONGEST))
    assert buffer.sample(10).n_relabelled > 0
    for number in (1, 2):  # the second of these drives episode 0 out, and does not touch its rows
        buffer.add_episode(tagged_episode(number, LONGEST))
    with pytest.raises(BadInput, match="row 0"):
        buffer.sample(10)


@settings(max_examples=50)
@given(some_lengths, st.integers(LONGEST, 40))
def test_exactly_the_rows_of_live_episodes_are_accepted(lengths: list[int], capacity: int) -> None:
    buffer = HindsightBuffer(scorer_of(), capacity)
    for number, length in enumerate(lengths):
        buffer.add_episode(tagged_episode(number, length))
    storage = buffer._storage
    live = {
        int(storage.first_row[slot]) + t
        for slot in storage.slots()
        for t in range(int(storage.length[slot]) + 1)
    }
    live |= {-1 - slot for slot in storage.slots()}
    rows = np.arange(-3 * len(storage.length), len(storage.achieved_goal) + 3)
    assert storage.holds(rows).tolist() == [row in live for row in rows.tolist()]


def test_a_user_may_desire_what_other_episodes_did() -> None:
    """Every second goal is what the oldest episode desired, the others are achieved ones."""

    def oldest(at: Transitions, rng: np.random.Generator) -> Any:
        return np.where(np.arange(len(at)) % 2, at.first_row + at.length, -1).astype(np.int32)

    batch = tagged_buffer([3, 5, 8], strategy=oldest).sample(200)
    rows = origin(batch).relabelled(batch)
    assert set(zip(rows.goal_number[::2].tolist(), rows.goal_t[::2].tolist(), strict=True)) == {(0, 3)}
    assert np.array_equal(rows.goal_number[1::2], rows.number[1::2])
    assert np.array_equal(rows.goal_t[1::2], np.array([3, 5, 8])[rows.number[1::2]])


# Going on later


@settings(max_examples=50)
@given(
    lengths=some_lengths,
    more=some_lengths,
    capacity=st.integers(LONGEST, 40),
    share=st.sampled_from([0.0, 0.7]),
    strategy=st.sampled_from(NAMES),
    seed=some_seed,
)
def test_a_restored_buffer_goes_on_as_if_nothing_had_happened(
    lengths: list[int], more: list[int], capacity: int, share: float, strategy: str, seed: int
) -> None:
    def new(seed: int) -> HindsightBuffer:
        return HindsightBuffer(scorer_of(), capacity, strategy=strategy, seed=seed, informative_share=share)

    ran = new(seed)
    for number, length in enumerate(lengths):
        ran.add_episode(tagged_episode(number, length))
        ran.sample(3)
    state = json.loads(json.dumps(ran.state()))
    held = range(len(lengths) - state["n_episodes"], len(lengths))
    restored = new(seed + 1)
    restored.restore(state, [tagged_episode(number, lengths[number]) for number in held])
    assert len(ran) == len(restored)
    for number, length in enumerate(more, start=len(lengths)):
        assert same(ran.sample(20), restored.sample(20))
        for buffer in (ran, restored):
            buffer.add_episode(tagged_episode(number, length))
        assert ran.state() == restored.state()


def test_a_buffer_refuses_what_does_not_belong_to_its_state() -> None:
    state = tagged_buffer([3, 4]).state()
    for wrong, episodes in (
        (state, [tagged_episode(0, 3)]),
        ({"n_episodes": 1}, []),
        (state | {"generator": {"bit_generator": "MT19937"}}, []),
        (state | {"oldest_row": -1}, []),
    ):
        with pytest.raises(BadInput):
            HindsightBuffer(FakeScorer(), 100).restore(wrong, episodes)

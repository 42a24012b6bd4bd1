"""Relabelling strategies: where their goals come from, and how often from where."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from regoal.buffers.storage import EpisodeStorage, Transitions
from regoal.buffers.strategies import NAMES, STRATEGIES, future, strategy_named, uniform
from regoal.buffers.strategy_text import EXAMPLE
from regoal.errors import BadInput

from .reference import origin, tagged_buffer, tagged_episode

LENGTHS = [1, 2, 3, 5, 8, 13]
# Seeds are fixed, so these tests do not flicker; one run in ten thousand would fail with another seed.
LEAST_P = 1e-4

some_lengths = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def storage_of(lengths: list[int], capacity: int = 60) -> EpisodeStorage:
    storage = EpisodeStorage(capacity, 9, observation_size=3, goal_size=2, action_size=1)
    for number, length in enumerate(lengths):
        storage.add(tagged_episode(number, length))
    return storage


def p_of_uniform_goals(strategy: str, first_choice: Callable[[int], int], seed: int = 0) -> float:
    """p value of: the goal's step is uniform over first_choice(t)..T, for all T and t together.

    A step outside has expectation 0 and makes it 0.
    """
    buffer = tagged_buffer(LENGTHS, strategy=strategy, seed=seed)
    batch = buffer.sample(200_000)
    rows = origin(batch).relabelled(batch)
    statistic, freedom = 0.0, 0
    for number, length in enumerate(LENGTHS):
        for t in range(length):
            here = (rows.number == number) & (rows.t == t)
            counts = np.bincount(rows.goal_t[here], minlength=length + 1)
            if counts[: first_choice(t)].any() or len(counts) > length + 1:
                return 0.0
            counts = counts[first_choice(t) :]
            assert counts.sum() > 1000, "too few samples for this test to mean anything"
            if len(counts) > 1:
                statistic += chisquare(counts).statistic
                freedom += len(counts) - 1
    return float(chi2.sf(statistic, freedom))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_future_is_uniform_over_all_later_steps_with_both_ends(seed: int) -> None:
    assert p_of_uniform_goals("future", lambda t: t + 1, seed) > LEAST_P


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_episode_is_uniform_over_all_steps_after_the_first_state(seed: int) -> None:
    assert p_of_uniform_goals("episode", lambda t: 1, seed) > LEAST_P


def test_the_chi_square_test_tells_future_from_episode() -> None:
    assert p_of_uniform_goals("future", lambda t: 1) < 1e-12
    assert p_of_uniform_goals("episode", lambda t: t + 1) == 0.0


def test_final_is_always_the_last_state() -> None:
    batch = tagged_buffer(LENGTHS, strategy="final").sample(5000)
    rows = origin(batch).relabelled(batch)
    assert np.array_equal(rows.goal_number, rows.number)
    assert np.array_equal(rows.goal_t, np.array(LENGTHS)[rows.number])


def test_random_is_uniform_over_everything_achieved_and_blind_to_the_transition() -> None:
    batch = tagged_buffer(LENGTHS, strategy="random").sample(200_000)
    rows = origin(batch).relabelled(batch)
    places = [(number, t) for number, length in enumerate(LENGTHS) for t in range(1, length + 1)]
    counts = [int(((rows.goal_number == number) & (rows.goal_t == t)).sum()) for number, t in places]
    assert sum(counts) == batch.n_relabelled, "a goal that nobody achieved"
    assert chisquare(counts).pvalue > LEAST_P
    of_the_longest = rows.number == len(LENGTHS) - 1
    counts_there = np.bincount(rows.goal_number[of_the_longest], minlength=len(LENGTHS))
    expected = of_the_longest.sum() * np.array(LENGTHS) / sum(LENGTHS)
    assert chisquare(counts_there, expected).pvalue > LEAST_P


def test_next_is_what_this_very_transition_achieved() -> None:
    batch = tagged_buffer(LENGTHS, strategy="next").sample(2_000)
    rows = origin(batch).relabelled(batch)
    assert np.array_equal(rows.goal_number, rows.next_number)
    assert np.array_equal(rows.goal_t, rows.next_t)
    assert (batch.reward[: batch.n_relabelled] == 0).all()


def test_desired_is_what_the_episode_of_a_uniform_transition_desired() -> None:
    """So an episode counts by its steps; the ring has gone round, and what left it is desired no more."""
    buffer = tagged_buffer([13] * 7 + LENGTHS, strategy="desired", capacity=sum(LENGTHS))
    batch = buffer.sample(200_000)
    rows = origin(batch).relabelled(batch)
    numbers = 7 + np.arange(len(LENGTHS))
    aims = np.array([LENGTHS[i] if number % 3 == 0 else -9 for i, number in enumerate(numbers)])
    assert np.array_equal(rows.goal_t, aims[rows.goal_number - 7])
    for some in (np.ones(len(rows.t), bool), rows.number == numbers[-1], rows.number == numbers[0]):
        counts = np.bincount(rows.goal_number[some] - 7, minlength=len(LENGTHS))
        expected = some.sum() * np.array(LENGTHS) / sum(LENGTHS)
        assert chisquare(counts, expected).pvalue > LEAST_P


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("4*future+4*desired+1*random", (4, 4, 1)),
        ("0.5*future + 1.5*desired + 1e-1*random", (0.5, 1.5, 0.1)),
        ("1*future+3*desired", (1, 3, 0)),
        ("3*random", (0, 0, 3)),
        ("2*rfaab+1*random", (8 / 9, 8 / 9, 2 / 9 + 1)),
    ],
)
def test_a_mixture_draws_its_parts_by_their_weights(text: str, weights: tuple[float, ...]) -> None:
    """Told apart by where their goals lie, in a buffer of two episodes: the rows are those of the other."""
    storage, rng = storage_of([9, 9]), np.random.default_rng(0)
    n = 90_000
    first = Transitions(np.zeros(n, int), np.full(n, 9), np.full(n, 8), np.zeros(n, int), storage)
    strategy = strategy_named(text)
    assert strategy is not None
    rows = strategy(first, rng)
    # future is row 9 alone; random is any of 18 rows, that one among them
    desired, elsewhere = (rows < 0).sum(), ((rows >= 0) & (rows != 9)).sum()
    future, wanted, random = np.array(weights) / sum(weights) * n
    counts = [n - desired - elsewhere, desired, elsewhere]
    expected = [future + random / 18, wanted, random * 17 / 18]
    kept = [i for i, count in enumerate(expected) if count]
    assert sum(counts[i] for i in kept) == n
    assert (
        len(kept) == 1 or chisquare([counts[i] for i in kept], [expected[i] for i in kept]).pvalue > LEAST_P
    )


def test_each_transition_of_a_mixture_gets_a_goal_of_the_part_that_it_drew() -> None:
    """Not that of another transition: `final` and `next` are told apart but for the last transition."""
    batch = tagged_buffer(LENGTHS, strategy="1*final+2*next").sample(20_000)
    rows = origin(batch).relabelled(batch)
    length = np.array(LENGTHS)[rows.number]
    assert np.array_equal(rows.goal_number, rows.number)
    assert ((rows.goal_t == length) | (rows.goal_t == rows.t + 1)).all()
    early = rows.t + 1 < length
    assert (rows.goal_t == length)[early].mean() == pytest.approx(1 / 3, abs=0.02)


def test_rfaab_is_the_mixture_that_it_is_said_to_be() -> None:
    one, other = (tagged_buffer(LENGTHS, strategy=name, seed=5).sample(500) for name in ("rfaab", EXAMPLE))
    assert EXAMPLE == "4*future+4*desired+1*random"
    assert torch.equal(one.desired_goal, other.desired_goal)
    assert torch.equal(one.observation, other.observation)


def test_none_leaves_every_goal_as_it_was_desired() -> None:
    buffer = tagged_buffer(LENGTHS, strategy="none")
    batch = buffer.sample(1000)
    rows = origin(batch)
    assert not buffer.relabels
    assert batch.n_relabelled == 0
    desired = np.array([length if number % 3 == 0 else -9 for number, length in enumerate(LENGTHS)])
    assert np.array_equal(rows.goal_number, rows.number)
    assert np.array_equal(rows.goal_t, desired[rows.number])


@given(some_lengths, st.sampled_from(list(STRATEGIES)), st.integers(0, 2**32 - 1))
def test_rows_lie_in_an_episode_that_is_held_and_after_its_first_state(
    lengths: list[int], name: str, seed: int
) -> None:
    storage, rng = storage_of(lengths), np.random.default_rng(seed)
    at = storage.draw(100, rng)
    rows = STRATEGIES[name](at, rng)
    assert rows.shape == at.t.shape
    assert np.issubdtype(rows.dtype, np.integer)
    if name in ("random", "desired", "rfaab"):
        after_first = {
            int(storage.first_row[slot]) + t
            for slot in storage.slots()
            for t in range(1, int(storage.length[slot]) + 1)
        }
        desired = {-1 - slot for slot in storage.slots()}
        of_it = {"random": after_first, "desired": desired, "rfaab": after_first | desired}
        assert of_it[name].issuperset(rows.tolist())
    else:
        least = {"future": at.t + 1, "final": at.length, "episode": 1, "next": at.t + 1}[name]
        assert (rows >= at.first_row + least).all()
        assert (rows <= at.first_row + at.length).all()


@given(some_lengths, st.sampled_from(list(STRATEGIES)), st.integers(0, 2**32 - 1))
def test_strategies_do_not_write_into_what_they_are_given(lengths: list[int], name: str, seed: int) -> None:
    storage, rng = storage_of(lengths), np.random.default_rng(seed)
    at = storage.draw(50, rng)
    for value in (at.first_row, at.length, at.t, at.episode, storage.achieved_goal, storage.desired_goal):
        value.flags.writeable = False  # writing now raises
    STRATEGIES[name](at, rng)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 30)), min_size=1, max_size=50),
    st.integers(0, 2**32 - 1),
)
def test_uniform_stays_between_its_ends(bounds: list[tuple[int, int]], seed: int) -> None:
    low = np.array([low for low, _ in bounds])
    high = low + np.array([width for _, width in bounds])
    drawn = uniform(np.random.default_rng(seed), low, high)
    assert ((low <= drawn) & (drawn <= high)).all()


@pytest.mark.parametrize("width", [1, 2, 3, 7, 50, 1000, 2**20 - 1, 2**20, 2**31 + 1])
def test_uniform_keeps_its_ends_at_the_extreme_draws(width: int) -> None:
    class Extreme(np.random.Generator):
        """The least and the greatest number that `random` can give."""

        def random(self, size: int) -> np.ndarray:  # type: ignore[override]
            return np.array([0.0, 1.0 - 2.0**-53])

    low = np.array([5, 5])
    drawn = uniform(Extreme(np.random.PCG64(0)), low, low + width - 1)
    assert drawn.tolist() == [5, 5 + width - 1]


def test_the_last_transition_of_an_episode_has_one_future() -> None:
    storage = storage_of([4])
    last = Transitions(np.zeros(50, int), np.full(50, 4), np.full(50, 3), np.zeros(50, int), storage)
    assert (future(last, np.random.default_rng(0)) == 4).all()


def test_all_shipped_names_are_known() -> None:
    assert NAMES == ("future", "final", "episode", "random", "next", "desired", "rfaab", "none")
    assert strategy_named("none") is None
    for name in STRATEGIES:
        assert strategy_named(name) is STRATEGIES[name]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("futur", "future"), ("finale", "final"), ("nones", "none"), ("nxt", "next"), ("rfab", "rfaab")],
)
def test_a_misspelt_name_is_told_the_right_one(typed: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"Did you mean.*{meant}") as caught:
        strategy_named(typed)
    assert repr(typed) in str(caught.value)
    assert "module:function" in str(caught.value)


def test_a_name_like_no_other_is_told_all_names() -> None:
    with pytest.raises(BadInput, match="future, final, episode, random, next, desired, rfaab, none"):
        strategy_named("xyz")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("4*futur", r"got 'futur'\. Did you mean future\?"),
        ("4*future+1*desird", r"got 'desird'\. Did you mean desired\?"),
        (
            "0*future+1*random",
            r"positive weight for each part, got '0' for 'future' in '0\*future\+1\*random'",
        ),
        ("1*future+-2*random", "got '-2' for 'random'"),
        ("nan*future", "got 'nan' for 'future'"),
        ("inf*future", "got 'inf' for 'future'"),
        ("1e308*future+1e308*random", "weights that can be added up"),
        ("future+4*desired", r"got none for 'future' in .* For example 4\*future"),
        ("*future", "got none for 'future'"),
        ("4*future+", "got none for ''"),
        ("future*4", "got 'future' for '4'"),
        ("2*3*future", r"got '2\*3' for 'future'"),
        ("4*", "got ''"),
        ("4*future+1*none", "strategies that relabel, got 'none' in .* n_sampled_goal"),
        ("4*future+1*no_such_module_here:f", "importable module 'no_such_module_here'"),
        ("4*future+1*math:pi", "a function math:pi"),
    ],
)
def test_a_mixture_that_cannot_be_meant_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=rf"^relabel: .*{told}"):
        strategy_named(text)


def test_no_part_of_a_mixture_is_imported_before_all_weights_are_known() -> None:
    with pytest.raises(BadInput, match="positive weight"):
        strategy_named("1*antigravity:geohash+0*future")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "name", ["no_such_module_here:f", ".x:f", "math:no_such_function", ":f", "math:", "math:pi"]
)
def test_a_function_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="relabel"):
        strategy_named(name)


def test_a_users_own_function_is_found_by_module_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "goals_of_mine.py").write_text(
        "def halfway(at, rng):\n    return at.first_row + (at.t + 1 + at.length) // 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    # Its own episode is known; to look rows up among all episodes takes long.
    monkeypatch.setattr(EpisodeStorage, "holds", lambda self, rows: pytest.fail("looked up"))
    batch = tagged_buffer(LENGTHS, strategy="goals_of_mine:halfway").sample(2000)
    rows = origin(batch).relabelled(batch)
    assert np.array_equal(rows.goal_number, rows.number)
    assert np.array_equal(rows.goal_t, (rows.t + 1 + np.array(LENGTHS)[rows.number]) // 2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("at.first_row + at.length + 0.5", "float64 of shape"),
        ("(at.first_row + at.length)[:-1]", "integer rows"),
        ("5", r"int64 of shape \(\)"),
        ("at.t * 0 - 1 - len(at.storage.length)", "row -"),
    ],
)
def test_a_users_part_of_a_mixture_is_checked_like_any_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, told: str
) -> None:
    """numpy alone would round, broadcast, or read from another episode."""
    (tmp_path / "wrong_part.py").write_text(f"def part(at, rng):\n    return {wrong}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_part", raising=False)
    buffer = tagged_buffer(LENGTHS, strategy="1*future+1*wrong_part:part")
    with pytest.raises(BadInput, match=f"relabel: .*{told}"):
        buffer.sample(100)

"""Paired arms: by hand, beside scipy and plain loops, and how often a claim is wrong."""

import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regoal.benchmarks.comparisons import (
    enough_seeds,
    probability_of_improvement,
    sign_flip_test,
)
from regoal.benchmarks.statistics import stratified_bootstrap, wilson_interval
from regoal.errors import BadInput

Floats = NDArray[np.float64]

a_score = st.integers(0, 20).map(lambda successes: successes / 20)
some_pairs = st.integers(1, 4).flatmap(  # a list of seeds, each with a pair of scores for every task
    lambda tasks: st.lists(
        st.lists(st.tuples(a_score, a_score), min_size=tasks, max_size=tasks), min_size=1, max_size=7
    )
)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _arms(pairs: list[list[tuple[float, float]]]) -> tuple[Floats, Floats]:
    array = np.array(pairs)  # (seeds, tasks, 2)
    return array[:, :, 0], array[:, :, 1]


# Probability of improvement.


def test_the_probability_of_improvement_by_hand() -> None:
    x = [[0.9, 0.5], [0.8, 0.5], [0.7, 0.2]]
    y = [[0.1, 0.5], [0.9, 0.4], [0.6, 0.1]]
    # First task: win, loss, win = 2 / 3; second: tie, win, win = 2.5 / 3.
    probability, low, high = probability_of_improvement(x, y)
    assert probability == pytest.approx((2 / 3 + 2.5 / 3) / 2)
    assert (low, high) == pytest.approx(wilson_interval(2.25, 3))  # three seeds
    assert probability_of_improvement(x, y, whole_seeds=False)[1:] == pytest.approx(wilson_interval(4.5, 6))


def test_only_the_runs_of_one_seed_meet() -> None:
    # Seeds matter more than arms: x is better for every seed, though only 6 of the 9 runs of x and y
    # taken crosswise would say so.
    assert probability_of_improvement([[0.2], [0.5], [0.8]], [[0.1], [0.4], [0.7]])[0] == 1
    x, y = np.array([0.2, 0.5, 0.8]), np.array([0.1, 0.4, 0.7])
    assert scipy.stats.mannwhitneyu(x, y).statistic / 9 == pytest.approx(6 / 9)


@given(some_pairs, st.randoms(use_true_random=False), st.booleans())
def test_the_probability_of_improvement_is_that_of_plain_loops(
    pairs: list[list[tuple[float, float]]], dice: random.Random, whole_seeds: bool
) -> None:
    x, y = _arms(pairs)
    wins = [[1.0 if one > two else 0.5 if one == two else 0.0 for one, two in seed] for seed in pairs]
    tasks = [sum(task) / len(task) for task in zip(*wins, strict=True)]
    probability, low, high = probability_of_improvement(x, y, whole_seeds=whole_seeds)
    assert probability == pytest.approx(sum(tasks) / len(tasks))
    assert 0 <= low <= probability + 1e-12
    assert probability - 1e-12 <= high <= 1
    other, other_low, other_high = probability_of_improvement(y, x, whole_seeds=whole_seeds)
    assert probability + other == pytest.approx(1)
    assert (other_low, other_high) == pytest.approx((1 - high, 1 - low))
    dice.shuffle(pairs)
    shuffled = probability_of_improvement(*_arms(pairs), whole_seeds=whole_seeds)
    assert shuffled == pytest.approx((probability, low, high))


def test_means_of_the_same_numbers_in_another_order_are_a_tie() -> None:
    one, other = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert one > other
    assert probability_of_improvement([[one]], [[other]])[0] == 0.5
    assert enough_seeds([[one]] * 6, [[other]] * 6, _rng()).differing == 0


@pytest.mark.parametrize("wins", range(6))
def test_the_interval_is_scipys_wilson(wins: int) -> None:
    x = np.array([[1.0]] * wins + [[0.0]] * (5 - wins))
    expected = scipy.stats.binomtest(wins, 5).proportion_ci(method="wilson")
    assert probability_of_improvement(x, 0 * x + 0.5)[1:] == pytest.approx(tuple(expected))


def _coverage(intervals: list[tuple[float, float]], chance: float) -> float:
    """How often the interval of the wins of 5 pairs holds the chance of a win: exact, by the binomial."""
    weights = scipy.stats.binom.pmf(range(6), 5, chance)
    held = [low <= chance <= high for low, high in intervals]
    return float(weights @ held)


def test_five_pairs_cover_the_probability_by_wilson_and_not_by_the_bootstrap() -> None:
    arms = [np.array([[1.0]] * wins + [[0.0]] * (5 - wins)) for wins in range(6)]
    ours = [probability_of_improvement(won, 0 * won + 0.5)[1:] for won in arms]
    resampled = [stratified_bootstrap(won, np.mean, _rng(1)) for won in arms]
    theirs = [(float(low), float(high)) for low, high in resampled]
    assert _coverage(ours, 0.9) > 0.9
    assert _coverage(theirs, 0.9) < 0.45
    assert np.mean([_coverage(ours, chance) for chance in np.linspace(0.02, 0.98, 49)]) > 0.94


# Tests and verdicts.


def test_the_sign_flip_test_by_hand() -> None:
    # 1, 2, 3 sum to 6; of the 8 flips only +++ and --- are as far from 0.
    assert sign_flip_test([1, 2, 3], _rng()) == 2 / 8
    # 3, 2, -1 sum to 4; as far are 6, 4, -4, -6: +++, ++-, --+, ---.
    assert sign_flip_test([3, 2, -1], _rng()) == 4 / 8
    # 0 tells nothing: the other three are as above, all of their flips tried.
    assert sign_flip_test([0, 1, 2, 3] + [0] * 20, _rng()) == 2 / 8
    assert sign_flip_test([0.0, 0.0], _rng()) == 1
    for pairs in range(1, 10):
        assert sign_flip_test(np.full(pairs, 0.1), _rng()) == 2 / 2**pairs


@settings(max_examples=30)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_the_sign_flip_test_is_scipys_permutation_test(twentieths: list[int], dice: random.Random) -> None:
    expected = scipy.stats.permutation_test(
        (np.array(twentieths),), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    differences = np.array(twentieths) / 20
    assert sign_flip_test(differences, _rng()) == pytest.approx(expected.pvalue)
    assert sign_flip_test(-differences, _rng()) == pytest.approx(expected.pvalue)
    dice.shuffle(twentieths)
    assert sign_flip_test(np.array(twentieths) / 20, _rng()) == pytest.approx(expected.pvalue)


def test_random_flips_of_many_pairs_come_near_all_of_them() -> None:
    twentieths = _rng(1).integers(-9, 15, 30)
    spread = np.array([1])  # how many of the 2^30 flips have each sum, from -total to total
    for size in np.abs(twentieths):
        step = np.zeros(2 * size + 1, np.int64)
        step[[0, -1]] += 1
        if size:
            spread = np.convolve(spread, step)
    sums = np.arange(len(spread)) - len(spread) // 2
    exact = spread[np.abs(sums) >= abs(twentieths.sum())].sum() / spread.sum()
    assert 0.01 < exact < 0.2
    assert sign_flip_test(twentieths / 20, _rng(2)) == pytest.approx(exact, abs=0.01)
    assert sign_flip_test(np.full(40, 0.3), _rng()) == 1 / 20_001  # never 0


def test_five_seeds_are_too_few_and_six_can_do() -> None:
    y = np.linspace(0.1, 0.2, 6)[:, None]
    five = enough_seeds(y[:5] + 0.5, y[:5], _rng())
    assert (five.pairs, five.differing, five.p, five.too_few, five.claim) == (5, 5, 2 / 32, True, False)
    assert str(five) == (
        "Too few seeds to claim a difference: 5 of 5 pairs differ, so p cannot be below 0.062, and 6 must "
        "for p <= 0.05 (mean difference +0.50 [+0.50, +0.50], p = 0.062)."
    )
    six = enough_seeds(y + 0.5, y, _rng())
    assert (six.p, six.too_few, six.claim) == (2 / 64, False, True)
    assert str(six) == "A difference, over 6 pairs: mean difference +0.50 [+0.50, +0.50], p = 0.031."
    worse = enough_seeds(y, y + 0.5, _rng())
    assert worse.claim
    assert worse.difference == pytest.approx(-0.5)


def test_a_tie_is_no_evidence() -> None:
    x, y = np.full((8, 1), 1.0), np.array([[0.5]] * 5 + [[1.0]] * 3)
    verdict = enough_seeds(x, y, _rng())
    assert (verdict.differing, verdict.too_few) == (5, True)
    assert str(verdict).startswith("Too few pairs that differ to claim a difference: 5 of 8 pairs differ")


def test_enough_seeds_without_a_difference_say_so() -> None:
    # Mean 0.2 / 8; the signs of 0.1 and 0.2 are mixed.
    x = np.array([0.1, -0.2, 0.2, 0.1, -0.1, -0.1, 0.1, 0.1])[:, None]
    verdict = enough_seeds(x, 0 * x, _rng())
    assert verdict.difference == pytest.approx(0.025)
    assert verdict.low < 0 < verdict.high
    assert (verdict.too_few, verdict.claim) == (False, False)
    assert str(verdict).startswith("No difference can be claimed from 8 pairs: mean difference +0.0")


def test_one_seed_has_no_interval() -> None:
    verdict = enough_seeds([[0.9, 0.8]], [[0.1, 0.2]], _rng())
    assert math.isnan(verdict.low)
    assert not verdict.claim
    assert "(mean difference +0.70, p = 1)" in str(verdict)
    many_tasks = enough_seeds([[0.9] * 6], [[0.1] * 6], _rng(), whole_seeds=False)
    assert (many_tasks.p, many_tasks.claim) == (2 / 64, False)


def test_several_tasks_are_one_piece_of_evidence_a_seed_or_several() -> None:
    y = _rng().random((3, 4))
    shared = enough_seeds(y + 0.1, y, _rng())
    assert (shared.pairs, shared.least_p, shared.claim) == (3, 2 / 8, False)
    apart = enough_seeds(y + 0.1, y, _rng(), whole_seeds=False)
    assert (apart.pairs, apart.least_p, apart.claim) == (12, 2 / 4096, True)


def test_several_comparisons_share_the_level() -> None:
    y = _rng().random((6, 1))
    assert enough_seeds(y + 0.1, y, _rng()).claim
    one_of_five = enough_seeds(y + 0.1, y, _rng(), comparisons=5)
    # 0.05 / 5 = 0.01 asks for 8 pairs: 2 / 2^8 = 0.008, 2 / 2^7 = 0.016.
    assert (one_of_five.level, one_of_five.needed, one_of_five.claim) == (0.01, 8, False)


def _wrong_claims(source: float, whole_seeds: bool, experiments: int) -> float:
    """How often 8 seeds in 4 tasks have p <= 0.05, though in the long run the arms are equal."""
    rng, wrong = _rng(0), 0
    for _ in range(experiments):
        differences = source * rng.standard_normal((8, 1)) + 0.3 * rng.standard_normal((8, 4))
        pairs = differences.mean(axis=1) if whole_seeds else differences.ravel()
        wrong += sign_flip_test(pairs, rng) <= 0.05
    return wrong / experiments


def test_at_most_one_claim_in_twenty_is_wrong_unless_a_shared_source_is_counted_several_times() -> None:
    # Of 1,000 experiments the share is good to 0.014, of 100 to 0.1.
    assert _wrong_claims(source=0, whole_seeds=True, experiments=1_000) < 0.065
    assert _wrong_claims(source=1, whole_seeds=True, experiments=1_000) < 0.065
    assert _wrong_claims(source=0, whole_seeds=False, experiments=100) < 0.15
    assert _wrong_claims(source=1, whole_seeds=False, experiments=100) > 0.25


def test_arms_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(BadInput, match=r"\(2, 1\), got \(1, 1\)"):
        probability_of_improvement([[1.0], [1.0]], [[1.0]])
    with pytest.raises(BadInput, match="leave out seeds"):
        enough_seeds([[1.0, 1.0]], [[1.0]], _rng())
    with pytest.raises(BadInput, match="y: expected finite numbers"):
        enough_seeds([[1.0]], [[math.nan]], _rng())

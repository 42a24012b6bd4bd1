"""Figures over runs and tasks: by hand, beside scipy and plain loops, and how often intervals hold."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from regoal.benchmarks.statistics import DUST, iqm, mean, performance_profile, stratified_bootstrap
from regoal.errors import BadInput

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Floats]

some_shape = st.tuples(st.integers(1, 6), st.integers(1, 4))  # (runs, tasks)
some_scores = some_shape.flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e3, 1e3, allow_subnormal=False))
)
some_seed = st.integers(0, 2**32 - 1)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Point estimates.


def test_the_interquartile_mean_by_hand() -> None:
    # 8 scores: the 2 lowest and the 2 highest go, (2 + 3 + 4 + 9) / 4 stays.
    assert iqm([[0, 1], [2, 3], [4, 9], [90, 100]]) == 4.5
    # 5 scores: floor(5 / 4) = 1 goes at each end, (0.2 + 0.6 + 1) / 3 stays.
    assert iqm([[1.0], [0.0], [0.2], [1.0], [0.6]]) == pytest.approx(0.6)
    assert iqm([[7.0], [1.0], [1.0]]) == 3.0  # of 3 none goes
    assert mean([[0, 1], [2, 3], [4, 9], [90, 100]]) == 209 / 8


def test_a_figure_of_curves_is_a_figure_at_each_point() -> None:
    curves = _rng().random((5, 3, 7))  # (runs, tasks, points)
    for figure in (iqm, mean):
        np.testing.assert_allclose(figure(curves), [figure(curves[:, :, point]) for point in range(7)])


@given(some_scores)
def test_the_interquartile_mean_is_scipys_trimmed_mean(scores: Floats) -> None:
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=None), abs=1e-9)


@given(some_scores, st.data())
def test_figures_do_not_depend_on_the_order_of_runs_and_lie_between_the_extremes(
    scores: Floats, data: st.DataObject
) -> None:
    shuffled = scores[data.draw(st.permutations(range(len(scores))))]
    for figure in (iqm, mean):
        assert figure(shuffled) == pytest.approx(float(figure(scores)), abs=1e-9)
        assert scores.min() - 1e-9 <= figure(scores) <= scores.max() + 1e-9


# Intervals.


def test_the_bootstrap_by_hand() -> None:
    # One task, runs 0 and 1: of the 4 resamples one is (0, 0) and one (1, 1): 0 and 1 have 25 % each.
    assert stratified_bootstrap([[0], [1]], mean, _rng()) == (0, 1)
    # Three such tasks: all six zeros have 1 in 64, 1.6 % < 2.5 %; five have 6 in 64, so the bound is 1/6.
    three = [[0, 0, 1], [1, 1, 0]]
    np.testing.assert_allclose(stratified_bootstrap(three, mean, _rng()), (1 / 6, 5 / 6))
    # Whole seeds of three equal tasks are one coin again: 0 and 1 have 25 % each.
    alike = [[0, 0, 0], [1, 1, 1]]
    assert stratified_bootstrap(alike, mean, _rng(), whole_seeds=True) == (0, 1)
    # Seeds that are good in one task and bad in the other even out: each has the mean 0.5.
    assert stratified_bootstrap([[0, 1], [1, 0]], mean, _rng(), whole_seeds=True) == (0.5, 0.5)


def test_the_tasks_themselves_are_not_resampled() -> None:
    # All spread is between the tasks: other seeds would give the same again.
    assert stratified_bootstrap([[0, 1], [0, 1], [0, 1]], mean, _rng()) == (0.5, 0.5)
    assert stratified_bootstrap([[0, 1], [0, 1], [0, 1]], mean, _rng(), whole_seeds=True) == (0.5, 0.5)


def test_the_bootstrap_of_one_task_is_scipys() -> None:
    scores = _rng(3).beta(2, 1, (8, 1))
    for figure, theirs in (
        (mean, np.mean),
        (iqm, lambda runs, axis: scipy.stats.trim_mean(runs, 0.25, axis=axis)),
    ):
        expected = scipy.stats.bootstrap(
            (scores[:, 0],), theirs, n_resamples=20_000, method="percentile", rng=_rng(1), axis=0
        ).confidence_interval
        found = stratified_bootstrap(scores, figure, _rng(2), resamples=10_000)
        np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize("whole_seeds", [False, True])
def test_the_bootstrap_of_several_tasks_is_that_of_plain_loops(whole_seeds: bool) -> None:
    scores = (_rng(4).random((5, 3)) + 0.5 * _rng(5).random((5, 1))).tolist()
    dice, figures = random.Random(0), []
    for _ in range(20_000):
        rows = [dice.randrange(5) for _ in range(5)]
        pooled = []
        for task in range(3):
            own = rows if whole_seeds else [dice.randrange(5) for _ in range(5)]
            pooled += [scores[row][task] for row in own]
        middle = sorted(pooled)[3:12]  # of 15, int(15 / 4) = 3 go at each end
        figures.append(sum(middle) / len(middle))
    figures.sort()
    found = stratified_bootstrap(scores, iqm, _rng(6), resamples=10_000, whole_seeds=whole_seeds)
    np.testing.assert_allclose(found, (figures[500], figures[19_500]), atol=0.01)


@settings(max_examples=40)
@given(some_scores, some_seed, st.booleans())
def test_an_interval_holds_its_estimate_and_is_seeded(scores: Floats, seed: int, whole_seeds: bool) -> None:
    low, high = stratified_bootstrap(scores, iqm, _rng(seed), 50, whole_seeds=whole_seeds)
    if len(scores) == 1:
        assert math.isnan(low)
        assert math.isnan(high)
    else:
        assert scores.min() - 1e-9 <= low <= iqm(scores) <= high <= scores.max() + 1e-9
        assert (low, high) == stratified_bootstrap(scores, iqm, _rng(seed), 50, whole_seeds=whole_seeds)


def test_an_interval_holds_its_estimate_where_percentiles_would_not() -> None:
    # The best of 40 equal tasks is above 0.5 in almost every resample.
    scores = np.tile([[0.0], [1.0]], (1, 40))
    best = stratified_bootstrap(scores, lambda some: some.mean(axis=0).max(), _rng())
    assert best == (0.5, 1.0)


def test_the_order_of_runs_changes_an_interval_by_less_than_resampling_does() -> None:
    scores = _rng(7).random((6, 3))
    one = stratified_bootstrap(scores, iqm, _rng(0), 5_000)
    other = stratified_bootstrap(scores[::-1], iqm, _rng(0), 5_000)
    np.testing.assert_allclose(one, other, atol=0.01)


def test_an_interval_of_curves_has_a_bound_at_each_point() -> None:
    curves = np.stack([np.full((4, 2), 0.3), _rng(1).random((4, 2))], axis=-1)  # (runs, tasks, points)
    low, high = stratified_bootstrap(curves, iqm, _rng(2))
    assert low.shape == high.shape == (2,)
    assert low[0] == high[0] == pytest.approx(0.3)
    assert (low[1], high[1]) == stratified_bootstrap(curves[:, :, 1], iqm, _rng(2))


def _coverage(draw: Draw, truth: float, figure: Callable[[Any], Any] = mean, **options: bool) -> float:
    """Share of 300 repetitions of an experiment whose 95 % interval holds the truth; it is good to 0.03."""
    rng, held = _rng(0), 0
    for _ in range(300):
        low, high = stratified_bootstrap(draw(rng), figure, rng, 200, **options)
        held += bool(low <= truth <= high)
    return held / 300


def test_the_intervals_hold_the_truth_in_about_95_of_100_experiments() -> None:
    # Success rates of two tasks of which one is easier; in the long run their mean is (0.8 + 0.4) / 2.
    assert _coverage(lambda rng: rng.binomial(20, [0.8, 0.4], (20, 2)) / 20, 0.6) > 0.9
    # Symmetric scores: the truth of the interquartile mean is the centre.
    assert _coverage(lambda rng: rng.standard_normal((20, 2)), 0.0, iqm) > 0.9
    assert _coverage(lambda rng: rng.standard_normal((10, 3)), 0.0, iqm) > 0.88


def test_few_runs_make_the_intervals_as_much_too_narrow_as_the_docstring_says() -> None:
    assert _coverage(lambda rng: rng.standard_normal((5, 1)), 0.0) == pytest.approx(0.82, abs=0.05)
    assert _coverage(lambda rng: rng.standard_normal((5, 3)), 0.0) == pytest.approx(0.90, abs=0.05)
    assert _coverage(lambda rng: rng.standard_normal((10, 3)), 0.0) == pytest.approx(0.92, abs=0.05)


def test_runs_that_share_a_source_need_whole_seeds() -> None:
    def draw(rng: np.random.Generator) -> Floats:
        return rng.standard_normal((20, 1)) + 0.5 * rng.standard_normal((20, 5))  # source + run

    assert _coverage(draw, 0.0) < 0.75
    assert _coverage(draw, 0.0, whole_seeds=True) > 0.88


# Profiles.


def test_a_profile_by_hand() -> None:
    # Scores 0, 0.5, 0.5, 1: all four are above -1, three above 0, one above 0.5, none above 1.
    share, low, high = performance_profile([[0.0, 0.5], [0.5, 1.0]], [-1, 0, 0.5, 1], _rng())
    np.testing.assert_array_equal(share, [1, 0.75, 0.25, 0])
    # Above 0: the second task always is, the first in 0, 1 or 2 of 2 resampled runs.
    np.testing.assert_array_equal(low, [1, 0.5, 0, 0])
    np.testing.assert_array_equal(high, [1, 1, 0.5, 0])
    assert np.mean([0.8, 0.8, 0.8]) > 0.8  # by the last bit
    np.testing.assert_array_equal(performance_profile([[np.mean([0.8] * 3)]], [0.78, 0.8], _rng())[0], [1, 0])


@settings(max_examples=40)
@given(some_scores, st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6).map(sorted), some_seed)
def test_a_profile_never_rises_and_is_one_minus_the_distribution_function(
    scores: Floats, thresholds: list[float], seed: int
) -> None:
    share, low, high = performance_profile(scores, thresholds, _rng(seed), 50)
    above = scipy.stats.ecdf(scores.ravel()).sf.evaluate(np.array(thresholds) + DUST)
    np.testing.assert_allclose(share, above, atol=1e-12)
    assert (np.diff(share) <= 0).all()
    if len(scores) > 1:
        assert ((low <= share) & (share <= high)).all()
        assert (np.diff(low) <= 1e-12).all()
        assert (np.diff(high) <= 1e-12).all()


def test_scores_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(BadInput, match=r"an array \(runs, tasks\), got shape \(3,\)"):
        iqm([1.0, 2.0, 3.0])
    with pytest.raises(BadInput, match="shape"):
        mean(np.empty((0, 2)))
    with pytest.raises(BadInput, match=r"finite numbers, got 2 that are not\. Leave out seeds"):
        stratified_bootstrap([[0.5, math.nan], [math.inf, 0.5]], mean, _rng())

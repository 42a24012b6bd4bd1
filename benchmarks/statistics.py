"""Figures over runs and tasks, and intervals, so that a figure says how much it is worth.

Agarwal 2021 is *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, arXiv 2108.13264.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regoal.errors import BadInput

Floats = NDArray[np.float64]

Z95 = 1.959963984540054  # 97.5 % point of the standard normal
DUST = 1e-9  # means of the same shares in another order, or shares of such a mean, differ by less


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a success rate over episodes (Wilson 1927); half a success is one, too."""
    if trials == 0:
        return 0.0, 1.0
    share, z2 = successes / trials, Z95**2 / trials
    centre = (share + z2 / 2) / (1 + z2)
    half = Z95 / (1 + z2) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap_interval(
    runs: NDArray[Any], rng: np.random.Generator, resamples: int = 2_000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % percentile interval of the mean over runs (Efron 1979).

    Args:
        runs: (n_runs, ...); whole runs are resampled, so points of a curve stay together.
        rng: draws the resamples.
        resamples: how many.

    Returns:
        Lower and upper bound, each of shape (...).
    """
    picked = rng.integers(0, len(runs), (resamples, len(runs)))
    means = runs[picked].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


# Of two policies that are equally good, one wins all of five differing episodes with probability
# 2 * 0.5^5 = 0.06, all of six with 0.03: five won episodes more can be luck, however they fall.
SIGN_TEST_LUCK = 5


def paired_margin(outcomes: NDArray[Any], rng: np.random.Generator, resamples: int = 2_000) -> float:
    """By how much any two of several policies may differ by luck alone, with 95 % confidence.

    Episodes are resampled for all policies together, so that an episode that is hard for all cancels out.
    The margin is the 95 % point of the range of (resampled mean - mean) over policies, so it holds for
    all pairs at once, and for the best among them though it was picked by these very episodes. One
    interval a pair would not: of five equally good policies over 100 episodes, it calls at least one
    worse than the best in 3 of 10 rankings, this margin in 1 of 20. It is never less than a sign test asks.

    Args:
        outcomes: (policies, episodes) success of each in the same episodes.
        rng: draws the resamples.
        resamples: how many.

    Returns:
        The half width of the 95 % interval of each difference between two rows' means.
    """
    episodes = outcomes.shape[1]
    counts = rng.multinomial(episodes, np.full(episodes, 1 / episodes), resamples)  # (resamples, episodes)
    off = (outcomes - outcomes.mean(axis=1, keepdims=True)) @ counts.T / episodes  # (policies, resamples)
    spread = off.max(axis=0) - off.min(axis=0)
    return max(float(np.quantile(spread, 0.95)), float(SIGN_TEST_LUCK / episodes))


def mean(scores: ArrayLike) -> Floats:
    """Mean over runs and tasks: scores (runs, tasks, ...) to (...)."""
    return np.asarray(np.mean(as_scores(scores), axis=(0, 1)))


def iqm(scores: ArrayLike) -> Floats:
    """Interquartile mean: the mean without the lowest and the highest quarter (Agarwal 2021, section 4.3).

    Runs of all tasks are pooled, so a task that always fails or always succeeds can fall out of it as a
    whole. Of n scores the floor(n / 4) lowest and as many of the highest go, as in `scipy.stats.trim_mean`.

    Args:
        scores: (runs, tasks, ...).

    Returns:
        (...): a figure for each of what follows the tasks, such as the points of a curve.

    Raises:
        BadInput: no scores, or some that are not finite.
    """
    array = as_scores(scores)
    ordered = np.sort(array.reshape(-1, *array.shape[2:]), axis=0)
    cut = len(ordered) // 4
    return np.asarray(ordered[cut : len(ordered) - cut].mean(axis=0))


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Callable[[Floats], ArrayLike],
    rng: np.random.Generator,
    resamples: int = 2_000,
    *,
    whole_seeds: bool = False,
) -> tuple[Floats, Floats]:
    """95 % percentile interval, the runs resampled within each task (Agarwal 2021, section 4.1; Efron 1979).

    The tasks stay as they are: it tells what other seeds might give in these tasks, not what other tasks
    might. Few runs make it too narrow: it holds the truth not in 95 but in 82 of 100 cases for the mean of
    5 runs in one task, in 90 for 5 runs in each of 3 tasks, in 92 for 10 runs there (normal scores). So it
    does not say by itself whether two arms differ: `comparisons.enough_seeds` does.

    Args:
        scores: (runs, tasks, ...); run k of every task has the same seed.
        statistic: takes scores of that shape to figures (...), such as `mean` and `iqm`.
        rng: draws the resamples.
        resamples: how many.
        whole_seeds: resample seeds, all tasks of a seed together. For runs that have something in common
            beyond their task, such as the source they were fine-tuned from: then one good source raises
            all tasks, and runs taken as independent give an interval that can be half as wide as it should.

    Returns:
        Lower and upper bound (...). The estimate is never outside, though percentiles alone may leave it
        out where the statistic is skewed. From a single run nothing can be resampled: nan.

    Raises:
        BadInput: no scores, or some that are not finite.
    """
    array = as_scores(scores)
    runs, tasks = array.shape[:2]
    estimate = np.asarray(statistic(array), np.float64)
    if runs == 1:
        return np.full_like(estimate, np.nan), np.full_like(estimate, np.nan)
    picked = rng.integers(0, runs, (resamples, runs, 1 if whole_seeds else tasks))
    columns = np.arange(tasks)
    figures = np.array([statistic(array[rows, columns]) for rows in picked])  # (resamples, ...)
    low, high = np.quantile(figures, [0.025, 0.975], axis=0)
    return np.minimum(low, estimate), np.maximum(high, estimate)


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 2_000,
    *,
    whole_seeds: bool = False,
) -> tuple[Floats, Floats, Floats]:
    """Share of runs, over all tasks, that score more than each threshold (Agarwal 2021, section 4.2).

    The interval holds for each threshold alone, not for the whole line at once. Where all runs agree it is
    a point: there the runs say nothing of how others might do.

    Args:
        scores: (runs, tasks).
        thresholds: (thresholds,); "more than" is strict, so of success rates none is above 1.
        rng, resamples, whole_seeds: as in `stratified_bootstrap`.

    Returns:
        Share, lower and upper bound, each (thresholds,) and never rising with the threshold.

    Raises:
        BadInput: no scores, or some that are not finite.
    """
    limits = np.asarray(thresholds, np.float64)

    def shares(some: Floats) -> Floats:
        return np.asarray((some[..., None] > limits + DUST).mean(axis=(0, 1)))

    array = as_scores(scores)
    return shares(array), *stratified_bootstrap(array, shares, rng, resamples, whole_seeds=whole_seeds)


def as_scores(scores: ArrayLike, where: str = "scores") -> Floats:
    """As an array (runs, tasks, ...) of finite numbers.

    Raises:
        BadInput: it is none.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim < 2 or array.size == 0:
        raise BadInput(where, "an array (runs, tasks)", f"shape {array.shape}")
    if not np.isfinite(array).all():
        raise BadInput(
            where,
            "finite numbers",
            f"{np.count_nonzero(~np.isfinite(array))} that are not",
            "Leave out seeds that are not complete.",
        )
    return array

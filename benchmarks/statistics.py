"""Intervals, so that a figure says how much it is worth."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054  # 97.5 % point of the standard normal


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a success rate over episodes (Wilson 1927)."""
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

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


def steps_to(threshold: float, steps: NDArray[Any], success: NDArray[Any], hold: int = 1) -> float:
    """First number of steps from which `hold` evaluations in a row reach the threshold; inf if none do."""
    reached = np.asarray(success) >= threshold
    for index in range(len(reached) - hold + 1):
        if reached[index : index + hold].all():
            return float(steps[index])
    return math.inf

"""Running mean and standard deviation of what a network is fed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class RunningStatistics:
    """Mean and variance of rows seen so far, merged batch by batch (Chan 1983, eq. 2.1).

    Args:
        size: length of a row.
        least_std: a feature that hardly moves is not blown up beyond this.
    """

    def __init__(self, size: int, least_std: float = 1e-2) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self.sum_of_squares = np.zeros(size)  # of deviations from the mean
        self.least_std = least_std

    @property
    def std(self) -> Array:
        """(size,); 1 before anything was seen."""
        if self.count == 0:
            return np.ones_like(self.mean)
        return np.maximum(np.sqrt(self.sum_of_squares / self.count), self.least_std)

    def update(self, rows: Array) -> None:
        """Merge (n, size) rows."""
        n = len(rows)
        mean = rows.mean(axis=0, dtype=np.float64)
        squares = np.square(rows - mean).sum(axis=0)
        total = self.count + n
        delta = mean - self.mean
        self.sum_of_squares = self.sum_of_squares + squares + delta**2 * (self.count * n / total)
        self.mean = self.mean + delta * (n / total)
        self.count = total

    def clear(self) -> None:
        """Forget everything."""
        self.__init__(len(self.mean), self.least_std)  # type: ignore[misc]

    def state(self, prefix: str) -> dict[str, Array]:
        """Arrays for a checkpoint."""
        return {
            f"{prefix}.count": np.array([self.count], np.int64),
            f"{prefix}.mean": self.mean,
            f"{prefix}.sum_of_squares": self.sum_of_squares,
        }

    def load_state(self, prefix: str, arrays: dict[str, Array]) -> None:
        """Take over arrays of a checkpoint.

        Raises:
            ValueError: nothing can have such statistics.
        """
        if arrays[f"{prefix}.count"][0] < 0 or (arrays[f"{prefix}.sum_of_squares"] < 0).any():
            raise ValueError(f"{prefix} statistics below 0")
        self.count = int(arrays[f"{prefix}.count"][0])
        self.mean = arrays[f"{prefix}.mean"].astype(np.float64)
        self.sum_of_squares = arrays[f"{prefix}.sum_of_squares"].astype(np.float64)


class Normaliser:
    """Statistics of observations and of goals, and what becomes of them in another env.

    Modes: "continue" goes on counting; "freeze" never changes; "refit" starts anew from the first rows it
    is fed, and keeps the old statistics until then.
    """

    clip = 5.0  # standard deviations at which normalised inputs are cut off

    def __init__(self, observation_size: int, goal_size: int, mode: str = "continue") -> None:
        self.observation = RunningStatistics(observation_size)
        self.goal = RunningStatistics(goal_size)
        self._mode = mode
        self._stale = mode == "refit"

    def update(self, observation: Array, goal: Array) -> None:
        """Merge (n, observation_size) and (m, goal_size) rows."""
        if self._mode == "freeze":
            return
        if self._stale:
            self.observation.clear()
            self.goal.clear()
            self._stale = False
        self.observation.update(observation)
        self.goal.update(goal)

    def has_refitted(self) -> None:
        """The statistics are the target's own: a "refit" has had its first rows."""
        self._stale = False

    @property
    def mean(self) -> Array:
        """(observation_size + goal_size,) float32."""
        return np.concatenate([self.observation.mean, self.goal.mean]).astype(np.float32)

    @property
    def std(self) -> Array:
        """(observation_size + goal_size,) float32."""
        return np.concatenate([self.observation.std, self.goal.std]).astype(np.float32)

    def state(self) -> dict[str, Array]:
        """Arrays for a checkpoint."""
        return self.observation.state("observation") | self.goal.state("goal")

    def load_state(self, arrays: dict[str, Array]) -> None:
        """Take over arrays of a checkpoint; a "refit" waits for new rows again."""
        self.observation.load_state("observation", arrays)
        self.goal.load_state("goal", arrays)
        self._stale = self._mode == "refit"

"""Mean and variance of rows that come batch by batch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.array_file import require_alike

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
        return np.maximum(np.sqrt(self.variance), self.least_std)

    @property
    def variance(self) -> Array:
        """(size,), of features that hardly move, too; 1 before anything was seen."""
        return self.sum_of_squares / self.count if self.count else np.ones_like(self.mean)

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
            KeyError, ValueError: nothing can have such statistics, or they are those of other rows.
        """
        require_alike(arrays, self.state(prefix))
        if arrays[f"{prefix}.count"][0] < 0 or (arrays[f"{prefix}.sum_of_squares"] < 0).any():
            raise ValueError(f"{prefix} statistics below 0")
        self.count = int(arrays[f"{prefix}.count"][0])
        self.mean = arrays[f"{prefix}.mean"].copy()
        self.sum_of_squares = arrays[f"{prefix}.sum_of_squares"].copy()

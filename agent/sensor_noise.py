"""White noise in what is sensed: how much of it there is, and how much of a noisy feature to believe."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.array_file import require_alike
from regoal.agent.running_statistics import RunningStatistics

Array = NDArray[Any]

# A feature may vary so much more than in the source before any of it is taken for noise: a robot that moves
# otherwise, and the chance of few episodes, are no noise.
USUAL_VARIANCE = 1.5
LEAST_GAIN = 1e-3  # a feature that noise has drowned counts for next to nothing, and stays finite


class SensorNoise:
    """The variance of noise that is drawn anew at every step, feature by feature, from whole episodes.

    Such noise takes back in one step what it did in the step before: of its changes d, E[d_t d_t+1] is minus
    its variance (Roll 1984, J. Finance 39(4), for prices that bounce between bid and ask) and E[d_t d_t+2]
    is 0. Changes that go on smoothly have much the same product with the next and with the one after, so
    the difference of the two is left of them. What is driven to and fro looks like noise; but it was so in
    the source, too, and noise is no more than what a feature varies beyond `USUAL_VARIANCE` times that.

    Args:
        size: length of an observation.
    """

    def __init__(self, size: int) -> None:
        self._seen = RunningStatistics(size)
        self._triples = 0  # of changes that follow each other
        self._sum_of_reversals = np.zeros(size)  # of d_t (d_t+2 - d_t+1)

    def update(self, observation: Array) -> None:
        """Measure an episode, (T + 1, size) in the order in which it was seen."""
        self._seen.update(observation)
        changes = np.diff(observation.astype(np.float64), axis=0)
        self._triples += max(len(changes) - 2, 0)
        reversals = changes[:-2] * (changes[2:] - changes[1:-1])
        self._sum_of_reversals = self._sum_of_reversals + reversals.sum(axis=0)

    def variance(self, before: Array) -> Array:
        """(size,) of the noise, given the variance (size,) of features in the source."""
        if self._triples == 0:
            return np.zeros_like(self._sum_of_reversals)
        excess = self._seen.variance - USUAL_VARIANCE * before
        noise: Array = np.maximum(np.minimum(self._sum_of_reversals / self._triples, excess), 0.0)
        return noise

    def gain(self, before: Array) -> Array:
        """(size,) how much of a deviation from the mean to believe, in [`LEAST_GAIN`, 1].

        signal / (signal + noise), the best linear estimate from one reading (Wiener 1949).
        """
        noise = self.variance(before)
        gain = np.ones_like(noise)
        np.divide(before, before + noise, out=gain, where=noise > 0)
        return np.maximum(gain, LEAST_GAIN)

    def state(self) -> dict[str, Array]:
        """Arrays for a checkpoint."""
        return self._seen.state("noise") | {
            "noise.triples": np.array([self._triples], np.int64),
            "noise.sum_of_reversals": self._sum_of_reversals,
        }

    def load_state(self, arrays: dict[str, Array]) -> None:
        """Take over arrays of a checkpoint.

        Raises:
            KeyError, ValueError: they are not those of a measurement.
        """
        require_alike(arrays, self.state())
        self._seen.load_state("noise", arrays)
        if arrays["noise.triples"][0] < 0:
            raise ValueError("noise triples below 0")
        self._triples = int(arrays["noise.triples"][0])
        self._sum_of_reversals = arrays["noise.sum_of_reversals"].copy()

"""What the inputs of a network are normalised with, and what becomes of it in another env."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.running_statistics import RunningStatistics
from regoal.agent.sensor_noise import SensorNoise

Array = NDArray[Any]


class Normaliser:
    """Statistics of observations and of goals, and what becomes of them in another env.

    Modes: "continue" goes on counting; "freeze" never changes; "refit" starts anew from the first rows it
    is fed, and keeps the old statistics until then; "damp" keeps the old ones for good, and lets each
    feature of an observation count for less the noisier the rows are (`SensorNoise`).

    Where noise was found, statistics are those of the signal alone: noisy rows are not counted into them.
    """

    clip = 5.0  # standard deviations at which normalised inputs are cut off

    def __init__(self, observation_size: int, goal_size: int, mode: str = "continue") -> None:
        self.observation = RunningStatistics(observation_size)
        self.goal = RunningStatistics(goal_size)
        self.noise: SensorNoise | None = None  # in what is sensed, if it was measured
        self._mode = mode
        self._awaits_rows = True  # of this run

    def update(self, observation: Array, goal: Array) -> None:
        """Merge an episode: (n, observation_size) in the order it was seen in, (m, goal_size) in any."""
        anew, self._awaits_rows = self._awaits_rows, False
        if self._mode == "freeze":
            return
        if self._mode == "damp":
            if anew or self.noise is None:
                self.noise = SensorNoise(self._size)
            self.noise.update(observation)
            return
        if self._mode == "refit" and anew:
            self.noise = None
            self.observation.clear()
            self.goal.clear()
        if anew and (self.gain == 1).all():
            self.noise = None  # it was looked for, and there was none
        self.goal.update(goal)
        if self.noise is None:
            self.observation.update(observation)

    def had_rows(self) -> None:
        """It goes on with a run that has fed it: a "refit" or a "damp" does not begin anew."""
        self._awaits_rows = False

    @property
    def _size(self) -> int:
        return len(self.observation.mean)

    @property
    def mean(self) -> Array:
        """(observation_size + goal_size,) float32."""
        return np.concatenate([self.observation.mean, self.goal.mean]).astype(np.float32)

    @property
    def std(self) -> Array:
        """(observation_size + goal_size,) float32: what deviations from the mean are divided by."""
        return np.concatenate([self.observation.std / self.gain, self.goal.std]).astype(np.float32)

    @property
    def gain(self) -> Array:
        """(observation_size,) how much of each feature's deviation from its mean is believed, in (0, 1]."""
        return np.ones(self._size) if self.noise is None else self.noise.gain(self.observation.variance)

    def state(self) -> dict[str, Array]:
        """Arrays for a checkpoint."""
        noise = {} if self.noise is None else self.noise.state()
        return self.observation.state("observation") | self.goal.state("goal") | noise

    def load_state(self, arrays: dict[str, Array]) -> None:
        """Take over arrays of a checkpoint; a "refit" or a "damp" waits for new rows again.

        Raises:
            KeyError, ValueError: nothing can have such statistics.
        """
        self.observation.load_state("observation", arrays)
        self.goal.load_state("goal", arrays)
        self.noise = None
        if any(name.startswith("noise.") for name in arrays):
            self.noise = SensorNoise(self._size)
            self.noise.load_state(arrays)
        self._awaits_rows = True

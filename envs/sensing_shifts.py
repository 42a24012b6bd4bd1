"""Shifts of what the agent is shown; success and rewards stay on the true state.

Only `observation` is touched. The achieved and the desired goal stay true: success and hindsight are
judged on what happened.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from regoal.envs.shift_effect import Array, Effect, Observation

if TYPE_CHECKING:
    from regoal.envs.recipe import Env


def why_no_sensing_shift(env: Env) -> str | None:
    """Why what is sensed cannot be shifted here; None where it can."""
    from gymnasium.spaces import Box, Dict  # here, because reading the text of a shift needs no gymnasium

    space = env.observation_space
    if not isinstance(space, Dict) or "observation" not in space.spaces:
        return "its observation space is not a Dict with the key 'observation'"
    box = space.spaces["observation"]
    if not isinstance(box, Box) or not np.issubdtype(box.dtype, np.floating):
        return "its observation is not a Box of floats"
    return None


class ObservationBias(Effect):
    """Add the same offset to every component of the observation: a sensor that is off."""

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        return _read_as(self.env, observation, observation["observation"] + self.value)


class ObservationNoise(Effect):
    """Add Gaussian noise to the observation, drawn anew at every reset and step."""

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        true = np.asarray(observation["observation"])
        return _read_as(self.env, observation, true + self.value * noise.standard_normal(true.shape))


def _read_as(env: Env, observation: Observation, reading: Array) -> Observation:
    """The observation with another reading; within declared bounds, as a sensor saturates.

    Where the env itself goes beyond them they are no bounds of the sensor: what it shows is not cut off.
    """
    space: Any = env.observation_space
    box, true = space.spaces["observation"], np.asarray(observation["observation"])
    shown = np.clip(reading, np.minimum(box.low, true), np.maximum(box.high, true))
    return {**observation, "observation": shown.astype(true.dtype)}


class ObservationDelay(Effect):
    """Show the reading of `value` steps ago, and the first one of the episode until there is one.

    It comes after bias and noise: a reading keeps those it was taken with.
    """

    def begin(self, value: float) -> None:
        super().begin(value)
        self._readings: deque[Array] = deque(maxlen=int(value) + 1)

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        self._readings.append(np.array(observation["observation"]))
        return {**observation, "observation": self._readings[0].copy()}

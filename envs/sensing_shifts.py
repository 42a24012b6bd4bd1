"""Shifts of what the agent is shown; success and rewards stay on the true state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regoal.envs.shift_effect import Effect, Observation

if TYPE_CHECKING:
    from regoal.envs.recipe import Env


def why_no_observation_noise(env: Env) -> str | None:
    """Why the observation cannot be made noisy here; None where it can."""
    from gymnasium.spaces import Box, Dict  # here, because reading the text of a shift needs no gymnasium

    space = env.observation_space
    if not isinstance(space, Dict) or "observation" not in space.spaces:
        return "its observation space is not a Dict with the key 'observation'"
    box = space.spaces["observation"]
    if not isinstance(box, Box) or not np.issubdtype(box.dtype, np.floating):
        return "its observation is not a Box of floats"
    return None


class ObservationNoise(Effect):
    """Add Gaussian noise to `observation` alone, drawn anew at every reset and step.

    The achieved and the desired goal stay true: success and hindsight are judged on what happened. A
    bounded observation is clipped to its bounds, as a sensor saturates.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        from gymnasium.spaces import Box, Dict

        space = env.observation_space
        assert isinstance(space, Dict)
        box = space.spaces["observation"]
        assert isinstance(box, Box)
        self._low, self._high = box.low, box.high

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        true = np.asarray(observation["observation"])
        noisy = true + self.value * noise.standard_normal(true.shape)
        return {**observation, "observation": np.clip(noisy, self._low, self._high).astype(true.dtype)}

"""What one term of a shift does to an episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

Array = NDArray[Any]
Observation = dict[str, Any]


class Effect:
    """Hooks around an episode; a family overrides the ones it needs.

    `begin` is called at every reset. The others are called only in episodes whose value is not the
    family's identity, so that an identity leaves trajectories exactly as they are.

    Args:
        env: the env below the shift. Nominal values are read from it here, before anything is changed.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.value = 0.0

    def begin(self, value: float) -> None:
        """Take this episode's value, before the env below is reset; physics is changed here."""
        self.value = value

    def after_reset(self, observation: Observation) -> Observation:
        """Change what was drawn at the reset; returns the observation that goes with it."""
        return observation

    def act(self, action: Array) -> Array:
        """The action (action_size,) float64 that reaches the env instead of this one."""
        return action

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        """The observation that reaches the agent instead of this one; never changed in place."""
        return observation

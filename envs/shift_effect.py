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
        env: the env below the shift.

    Attributes:
        env: the same.
        value: this episode's value, in the family's unit.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.value = 0.0

    def begin(self, value: float) -> None:
        """Take this episode's value, before the env below is reset; physics is changed here."""
        self.value = value

    def after_reset(self, observation: Observation) -> Observation:
        """Change what was drawn at the reset; returns what the env says of it then.

        Another effect may read the env anew afterwards: what the sensors get wrong belongs in `sense`.
        """
        return observation

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        """The action (action_size,) float64 that reaches the env instead of this one.

        Args:
            action: what was asked for; never changed in place.
            noise: the shift's own generator, seeded by the reset.
        """
        return action

    def sense(self, observation: Observation, noise: np.random.Generator) -> Observation:
        """The observation that reaches the agent instead of this one; never changed in place."""
        return observation


class ScaledAttribute(Effect):
    """Scale a number that the unwrapped env keeps as an attribute and reads anew each time.

    Args:
        env: the env below the shift.
        attribute: name of the attribute.
    """

    def __init__(self, env: Env, attribute: str) -> None:
        super().__init__(env)
        self._attribute = attribute
        self._nominal = float(nominal_attribute(env, attribute))

    def begin(self, value: float) -> None:
        super().begin(value)
        setattr(self.env.unwrapped, self._attribute, self._nominal * value)


def nominal(env: Env, name: str, value: Any) -> Any:
    """What `value` was when `name` was first asked for: the figure before any shift.

    It is kept in the unwrapped env, so that a copy of a shifted env scales the same figure, not one that is
    scaled already.
    """
    kept: dict[str, Any] = vars(env.unwrapped).setdefault("_nominal_values", {})
    return kept.setdefault(name, value)


def nominal_attribute(env: Env, attribute: str) -> Any:
    """An attribute of the unwrapped env as it was before any shift."""
    return nominal(env, attribute, getattr(env.unwrapped, attribute))

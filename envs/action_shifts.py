"""Shifts of what the robot does with an action: gain, rotation, bias, noise, delay.

They act one after the other in the canonical order; the wrapper clips what comes out to the action box.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from regoal.envs.shift_effect import Array, Effect
from regoal.envs.shift_scenes import scene_of

if TYPE_CHECKING:
    from regoal.envs.recipe import Env


def why_no_action_shift(env: Env) -> str | None:
    """Why the action cannot be shifted here; None where it can."""
    from gymnasium.spaces import Box  # here, because reading the text of a shift needs no gymnasium

    space = env.action_space
    if not isinstance(space, Box) or len(space.shape) != 1:
        return "its action space is not a flat Box"
    return None if space.is_bounded() else "its action space has no bounds, so there is no centre"


def why_no_rotation(env: Env) -> str | None:
    """Why the action cannot be rotated here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "which action components are x and y is not known for this env"
    return why_no_action_shift(env) if scene.action_xy else f"its actions are {scene.action_is}, not x and y"


def action_centre(env: Env) -> Array:
    """The centre of the action box, (action_size,) float64: the action that asks for nothing."""
    space: Any = env.action_space
    centre: Array = (space.low.astype(np.float64) + space.high.astype(np.float64)) / 2.0
    return centre


class ActionGain(Effect):
    """Scale the action about the centre of its box (0 for a symmetric box: plain scaling)."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._centre = action_centre(env)

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        return self._centre + self.value * (action - self._centre)


class ActionRotation(Effect):
    """Turn the x and y components of the action counterclockwise about z, seen from above."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        scene = scene_of(env)
        assert scene is not None
        assert scene.action_xy is not None
        self._xy = list(scene.action_xy)
        self._turn = np.eye(2)

    def begin(self, value: float) -> None:
        super().begin(value)
        cos, sin = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value))
        self._turn = np.array([[cos, -sin], [sin, cos]])

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        turned = action.copy()
        turned[self._xy] = self._turn @ action[self._xy]
        return turned


class ActionBias(Effect):
    """Add the same offset to every component of the action: a zero that is set wrongly."""

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        return action + self.value


class ActionNoise(Effect):
    """Add Gaussian noise to every component of the action, drawn anew at every step."""

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        return action + self.value * noise.standard_normal(action.shape)


class ActionDelay(Effect):
    """Apply the action of `value` steps ago, and the centre of the box until there is one."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._centre = action_centre(env)
        self._waiting: deque[Array] = deque()

    def begin(self, value: float) -> None:
        super().begin(value)
        self._waiting = deque([self._centre] * int(value))

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        self._waiting.append(action)
        return self._waiting.popleft()

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
    return None if space.is_bounded() else "its action space has no bounds"


def why_no_rotation(env: Env) -> str | None:
    """Why the action cannot be rotated here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "which action components are x and y is not known for this env"
    return why_no_action_shift(env) if scene.action_xy else f"its actions are {scene.action_is}, not x and y"


def resting_action(env: Env) -> Array:
    """The action nearest to 0 in the box, (action_size,) float64: the one that asks for nothing."""
    space: Any = env.action_space
    rest: Array = np.clip(0.0, space.low.astype(np.float64), space.high.astype(np.float64))
    return rest


class ActionGain(Effect):
    """Scale the action about what asks for nothing: 0, or what is nearest to it in the box."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._rest = resting_action(env)

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        return self._rest + self.value * (action - self._rest)


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
    """Apply the action of `value` steps ago, and one that asks for nothing until there is one."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._rest = resting_action(env)
        self._waiting: deque[Array] = deque()

    def begin(self, value: float) -> None:
        super().begin(value)
        self._waiting = deque([self._rest] * int(value))

    def act(self, action: Array, noise: np.random.Generator) -> Array:
        self._waiting.append(action)
        return self._waiting.popleft()

"""Which kind of env this is, as far as the shifts need to know; recognised without importing its package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

POINT_REACH_WALL = 1.5  # [m] PointReach stops its point there


@dataclass(frozen=True)
class Scene:
    """One kind of env.

    Attributes:
        class_name: a class that envs of this kind inherit from. By name, because importing it to ask
            `isinstance` would load gymnasium_robotics and mujoco for an env that needs neither.
        label: short name of the kind.
        action_xy: the action components that are Cartesian x and y, if there are any.
        action_is: what the action is, for messages.
        object_body: name of the body that is manipulated, where the env has one.
        goals: how goals are drawn, for messages.
        starts: where an episode starts, for messages.
        hides_achieved: whether its observation leaves out what is achieved.
    """

    class_name: str
    label: str
    action_xy: tuple[int, int] | None
    action_is: str
    object_body: str | None
    goals: str
    starts: str
    hides_achieved: bool = False


_CELLS = "cells of the maze"
_JOINTS = "joint angles"
_SAME = "in the same place every time"
_PLAIN = {"PassiveEnvChecker", "OrderEnforcing", "TimeLimit"}  # wrappers of gymnasium.make

SCENES = (
    Scene("MujocoFetchEnv", "Fetch", (0, 1), "a displacement of the gripper", "object0", "a box", _SAME),
    Scene(
        "PointReach", "PointReach", (0, 1), "an acceleration in the plane", None, "a square", "in a square"
    ),
    Scene("PointMazeEnv", "PointMaze", (0, 1), "a force in the plane", None, _CELLS, f"in {_CELLS}"),
    Scene("AntMazeEnv", "AntMaze", None, "joint torques", None, _CELLS, f"in {_CELLS}", hides_achieved=True),
    Scene(
        "MujocoManipulateEnv", "HandManipulate", None, _JOINTS, "object", "poses of the object", "in the hand"
    ),
    Scene("MujocoHandReachEnv", "HandReach", None, _JOINTS, None, "finger-tip positions", _SAME),
)


def scene_of(env: Env) -> Scene | None:
    """The first scene that the unwrapped env belongs to, or None for an env that is not in the table."""
    names = {cls.__name__ for cls in type(env.unwrapped).__mro__ if _is_known(cls)}
    return next((scene for scene in SCENES if scene.class_name in names), None)


def _is_known(cls: type) -> bool:
    """Whether a class is of a package whose scenes are known; anybody may call one of theirs PointReach."""
    return cls.__module__.partition(".")[0] in ("regoal", "gymnasium_robotics")


def why_not_wrapped(env: Env) -> str | None:
    """Why what an env returns cannot be read anew below its wrappers; None where it can."""
    import gymnasium as gym  # here, because reading the text of a shift needs no gymnasium

    below: Any = env
    while isinstance(below, gym.Wrapper):
        ours = type(below).__module__.partition(".")[0] == "regoal"
        if not ours and type(below).__name__ not in _PLAIN:
            return f"its wrapper {type(below).__name__} may change what it returns: shift it in its own code"
        below = below.env
    return None


def object_body(env: Env) -> str | None:
    """Name of the body that is manipulated, or None where there is none (FetchReach, mazes, ...)."""
    scene = scene_of(env)
    if scene is None or scene.object_body is None:
        return None
    return scene.object_body if getattr(env.unwrapped, "has_object", True) else None


def model_of(env: Env) -> Any:
    """The MjModel that the unwrapped env simulates, or None."""
    return getattr(env.unwrapped, "model", None)


def has_mujoco_model(env: Env) -> bool:
    """Whether the unwrapped env simulates with the MuJoCo bindings (told by the type's name: no import)."""
    return type(model_of(env)).__name__ == "MjModel"


def room_on_table(env: Env, centre: NDArray[Any], half_width: float) -> float:
    """By what factor a square about `centre` (2,) [m] can grow until it meets the edge of Fetch's table."""
    model = model_of(env)
    table = model.body("table0")
    room = model.geom_size[int(table.geomadr[0])][:2] - np.abs(centre - table.pos[:2])
    return _rounded_down(room.min() / half_width)


def room_within_walls(half_width: float) -> float:
    """By what factor a square about the middle of PointReach can grow until it meets the walls."""
    return _rounded_down(POINT_REACH_WALL / half_width)


def _rounded_down(value: float) -> float:
    """To two places, so that the figure in a message is one that works."""
    return math.floor(float(value) * 100) / 100

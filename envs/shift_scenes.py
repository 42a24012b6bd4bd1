"""Which kind of env this is, as far as the shifts need to know; recognised without importing its package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.envs.recipe import Env


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
    """

    class_name: str
    label: str
    action_xy: tuple[int, int] | None
    action_is: str
    object_body: str | None
    goals: str


SCENES = (
    Scene("MujocoFetchEnv", "Fetch", (0, 1), "a displacement of the gripper", "object0", "a box"),
    Scene("PointReach", "PointReach", (0, 1), "an acceleration in the plane", None, "a square"),
    Scene("PointMazeEnv", "PointMaze", (0, 1), "a force in the plane", None, "cells of the maze"),
    Scene("AntMazeEnv", "AntMaze", None, "joint torques", None, "cells of the maze"),
    Scene("MujocoManipulateEnv", "HandManipulate", None, "joint angles", "object", "poses of the object"),
    Scene("MujocoHandReachEnv", "HandReach", None, "joint angles", None, "finger-tip positions"),
)


def scene_of(env: Env) -> Scene | None:
    """The first scene that the unwrapped env belongs to, or None for an env that is not in the table."""
    names = {cls.__name__ for cls in type(env.unwrapped).__mro__}
    return next((scene for scene in SCENES if scene.class_name in names), None)


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

"""Shifts of where episodes start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regoal.envs.shift_effect import Effect, Observation, ScaledAttribute, nominal_attribute
from regoal.envs.shift_scenes import object_body, room_on_table, room_within_walls, scene_of, why_not_wrapped

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

NEAREST = 0.1  # [m] Fetch puts the object no nearer to the gripper than this
# A proportional controller brings the FetchSlide gripper above every corner and edge of the start box made
# twice as wide (8 of 8, within 14 mm), but to 6 of 8 at 3 times. Elsewhere the table ends before that.
GREATEST_REGION = 2.0


def why_no_start_region(env: Env) -> str | None:
    """Why the start region cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "where its episodes start is not known for this env"
    if scene.label != "PointReach" and not (scene.label == "Fetch" and object_body(env)):
        return f"it starts {scene.starts}"
    return why_not_wrapped(env) if scene.label == "Fetch" else None


def greatest_start_region(env: Env) -> float:
    """The largest factor at which the object still lies on the table, or the point within its walls."""
    if object_body(env) is None:
        return min(GREATEST_REGION, room_within_walls(nominal_attribute(env, "start_range")))
    unwrapped: Any = env.unwrapped
    return min(GREATEST_REGION, room_on_table(env, unwrapped.initial_gripper_xpos[:2], unwrapped.obj_range))


def start_region(env: Env) -> Effect:
    """The effect that fits the env."""
    return ScaledAttribute(env, "start_range") if object_body(env) is None else FetchStartRegion(env)


class FetchStartRegion(Effect):
    """Move the object away from (or towards) the gripper, below which it is drawn, in x and y.

    It is moved after it was drawn, so the same seed gives the same start, scaled, and the same goal. What
    would come nearer than the env's own limit is left at that limit, in its direction.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._joint = f"{object_body(env)}:joint"

    def after_reset(self, observation: Observation) -> Observation:
        import mujoco

        unwrapped: Any = self.env.unwrapped
        gripper = unwrapped.initial_gripper_xpos[:2]
        place = unwrapped.data.joint(self._joint).qpos  # a view: writing to it moves the object
        offset = place[:2] - gripper
        place[:2] = gripper + offset * max(self.value, NEAREST / float(np.linalg.norm(offset)))
        mujoco.mj_forward(unwrapped.model, unwrapped.data)
        moved: Observation = unwrapped._get_obs()
        return moved

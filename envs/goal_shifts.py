"""Shifts of where goals lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from regoal.envs.shift_effect import Array, Effect, Observation
from regoal.envs.shift_scenes import model_of, object_body, scene_of

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

# A proportional controller brings the FetchReach gripper to every corner and edge of the goal box made
# twice as wide (18 of 18), but to 17 at 2.25 times, 14 at 2.5 and 12 at 3: farther goals are out of reach.
GREATEST_REGION = 2.0
POINT_REACH_WALL = 1.5  # [m] PointReach stops its point there


def why_no_goal_region(env: Env) -> str | None:
    """Why the goal region cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "where its goals are drawn is not known for this env"
    return None if scene.label in ("Fetch", "PointReach") else f"its goals are {scene.goals}, not a box"


def greatest_goal_region(env: Env) -> float:
    """The largest factor at which every goal can still be reached in this env.

    Objects must stay on the table, the point of PointReach within its walls, the gripper in reach. It is
    rounded down to two places, so that the figure in a message is one that works.
    """
    unwrapped: Any = env.unwrapped
    body = object_body(env)
    if body is not None:
        model = model_of(env)
        table = model.body("table0")
        half = model.geom_size[int(table.geomadr[0])][:2]
        room = half - np.abs(_goal_centre(unwrapped) - table.pos[:2])
        return min(GREATEST_REGION, _two_places(room.min() / unwrapped.target_range))
    scene = scene_of(env)
    if scene is not None and scene.label == "PointReach":
        return min(GREATEST_REGION, _two_places(POINT_REACH_WALL / unwrapped.goal_range))
    return GREATEST_REGION


def goal_region(env: Env) -> Effect:
    """The effect that fits the env."""
    scene = scene_of(env)
    return PointGoalRegion(env) if scene and scene.label == "PointReach" else FetchGoalRegion(env)


class FetchGoalRegion(Effect):
    """Move each goal away from (or towards) the centre of the box it is drawn from, in x and y only.

    The goal is moved after it was drawn, so the same seed gives the same goal, scaled; its height is
    kept, since an object's goal lies on the table or above it.
    """

    def after_reset(self, observation: Observation) -> Observation:
        unwrapped: Any = self.env.unwrapped
        goal = np.array(unwrapped.goal)
        centre = _goal_centre(unwrapped)
        goal[:2] = centre + self.value * (goal[:2] - centre)
        unwrapped.goal = goal
        dtype = np.asarray(observation["desired_goal"]).dtype
        return {**observation, "desired_goal": goal.astype(dtype)}


class PointGoalRegion(Effect):
    """Scale the half-width that PointReach draws goals from."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        unwrapped: Any = env.unwrapped
        self._nominal = float(unwrapped.goal_range)

    def begin(self, value: float) -> None:
        super().begin(value)
        unwrapped: Any = self.env.unwrapped
        unwrapped.goal_range = self._nominal * value


def _goal_centre(unwrapped: Any) -> Array:
    """Centre (2,) [m] of the box from which a Fetch env draws goals."""
    offset = np.broadcast_to(unwrapped.target_offset, (3,)) if unwrapped.has_object else np.zeros(3)
    centre: Array = unwrapped.initial_gripper_xpos[:2] + offset[:2]
    return centre


def _two_places(value: float) -> float:
    return math.floor(float(value) * 100) / 100

"""Shifts of where goals lie and of how near counts as reached."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regoal.envs.shift_effect import Array, Effect, Observation, ScaledAttribute, nominal_attribute
from regoal.envs.shift_scenes import room_on_table, room_within_walls, scene_of, why_not_wrapped

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

# A proportional controller brings the FetchReach gripper to every corner and edge of the goal box made
# twice as wide (18 of 18), but to 17 at 2.25 times, 14 at 2.5 and 12 at 3: farther goals are out of reach.
GREATEST_REGION = 2.0


def why_no_goal_region(env: Env) -> str | None:
    """Why the goal region cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "where its goals are drawn is not known for this env"
    if scene.label not in ("Fetch", "PointReach"):
        return f"its goals are {scene.goals}, not a box"
    return why_not_wrapped(env) if scene.label == "Fetch" else None


def why_no_reward_threshold(env: Env) -> str | None:
    """Why the threshold of the reward cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "how it tells that a goal is reached is not known for this env"
    if scene.label == "HandManipulate":
        return "it has two thresholds, one of position and one of rotation"
    return (
        None if scene.label in ("Fetch", "HandReach", "PointReach") else "its threshold is fixed in its code"
    )


def greatest_goal_region(env: Env) -> float:
    """The largest factor at which every goal can still be reached in this env.

    Objects must stay on the table, the point of PointReach within its walls, the gripper in reach.
    """
    unwrapped: Any = env.unwrapped
    scene = scene_of(env)
    if scene is not None and scene.label == "PointReach":
        return min(GREATEST_REGION, room_within_walls(nominal_attribute(env, "goal_range")))
    if unwrapped.has_object:
        return min(GREATEST_REGION, room_on_table(env, _goal_centre(unwrapped), unwrapped.target_range))
    return GREATEST_REGION


def goal_region(env: Env) -> Effect:
    """The effect that fits the env."""
    scene = scene_of(env)
    if scene is not None and scene.label == "PointReach":
        return ScaledAttribute(env, "goal_range")
    return FetchGoalRegion(env)


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


# Reward, success and termination all read it, so they stay one.
reward_threshold = partial(ScaledAttribute, attribute="distance_threshold")


def _goal_centre(unwrapped: Any) -> Array:
    """Centre (2,) [m] of the box from which a Fetch env draws goals."""
    offset = np.broadcast_to(unwrapped.target_offset, (3,)) if unwrapped.has_object else np.zeros(3)
    centre: Array = unwrapped.initial_gripper_xpos[:2] + offset[:2]
    return centre

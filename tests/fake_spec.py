"""A goal spec for tests that need no env: reach a point, reward -1/0 by distance."""

import dataclasses

import numpy as np

from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe


def point_spec(**changes: object) -> GoalSpec:
    """The spec of PointReach, read once; `changes` replace fields."""
    return dataclasses.replace(GoalSpec.from_recipe(EnvRecipe("regoal/PointReach-v0")), **changes)


def rows(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """(n, size) float32 standard normal."""
    return rng.standard_normal((n, size)).astype(np.float32)

"""The families of shifts: one record each, in the order in which they are applied and printed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regoal.envs import action_shifts, goal_shifts, physics_shifts, sensing_shifts
from regoal.envs.shift_effect import Effect

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

FACTOR = "factor"


@dataclass(frozen=True)
class Family:
    """One way in which an env can be shifted.

    Attributes:
        name: as it is written in the text of a shift.
        unit: of its value.
        stage: `physics`, `goal`, `sensing` or `action`: when it takes effect.
        identity: the value that changes nothing.
        low, high: bounds of the value, in `unit`.
        applies_to: the envs it applies to, for people.
        description: one line, for people.
        why_not: the reason why it does not apply to an env, or None where it does.
        effect: builds what does it.
        low_is_open: whether `low` itself is excluded.
        whole: whether the value counts something.
        greatest: the largest value that makes sense in an env, where that is less than `high`.
    """

    name: str
    unit: str
    stage: str
    identity: float
    low: float
    high: float
    applies_to: str
    description: str
    why_not: Callable[[Env], str | None]
    effect: Callable[[Env], Effect]
    low_is_open: bool = False
    whole: bool = False
    greatest: Callable[[Env], float] | None = None


_TABLE = (
    Family(
        name="friction",
        unit=FACTOR,
        stage="physics",
        identity=1.0,
        low=0.0,
        high=100.0,
        low_is_open=True,
        applies_to="FetchPush, FetchSlide, FetchPickAndPlace, AntMaze",
        description="friction of what slides and of what it slides on (object and table, ant and floor)",
        why_not=physics_shifts.why_no_friction,
        effect=physics_shifts.Friction,
    ),
    Family(
        name="object_mass",
        unit=FACTOR,
        stage="physics",
        identity=1.0,
        low=0.0,
        high=100.0,
        low_is_open=True,
        applies_to="FetchPush, FetchSlide, FetchPickAndPlace, HandManipulate",
        description="mass and inertia of the object",
        why_not=physics_shifts.why_no_object_mass,
        effect=physics_shifts.ObjectMass,
    ),
    Family(
        name="gravity",
        unit=FACTOR,
        stage="physics",
        identity=1.0,
        low=0.0,
        high=100.0,
        applies_to="every MuJoCo env (no effect to speak of on FetchReach and PointMaze)",
        description="gravity; 0 is weightless",
        why_not=physics_shifts.why_no_gravity,
        effect=physics_shifts.Gravity,
    ),
    Family(
        name="goal_region",
        unit=FACTOR,
        stage="goal",
        identity=1.0,
        low=0.0,
        high=goal_shifts.GREATEST_REGION,
        low_is_open=True,
        applies_to="Fetch, PointReach",
        description="horizontal extent of the region goals are drawn from, about its centre",
        why_not=goal_shifts.why_no_goal_region,
        effect=goal_shifts.goal_region,
        greatest=goal_shifts.greatest_goal_region,
    ),
    Family(
        name="observation_noise",
        unit="observation units",
        stage="sensing",
        identity=0.0,
        low=0.0,
        high=math.inf,
        applies_to="every env with a Box of floats as observation",
        description="standard deviation of Gaussian noise on the observation, not on the goals",
        why_not=sensing_shifts.why_no_observation_noise,
        effect=sensing_shifts.ObservationNoise,
    ),
    Family(
        name="action_gain",
        unit=FACTOR,
        stage="action",
        identity=1.0,
        low=0.0,
        high=100.0,
        low_is_open=True,
        applies_to="every env with a bounded Box as action",
        description="scale of the action about the centre of its box",
        why_not=action_shifts.why_no_action_shift,
        effect=action_shifts.ActionGain,
    ),
    Family(
        name="action_rotation",
        unit="degrees",
        stage="action",
        identity=0.0,
        low=-math.inf,
        high=math.inf,
        applies_to="Fetch, PointMaze, PointReach",
        description="rotation of the action's x and y about z, counterclockwise from above",
        why_not=action_shifts.why_no_rotation,
        effect=action_shifts.ActionRotation,
    ),
    Family(
        name="action_delay",
        unit="env steps",
        stage="action",
        identity=0.0,
        low=0.0,
        high=50.0,
        whole=True,
        applies_to="every env with a bounded Box as action",
        description="steps until an action takes effect; the centre action before that",
        why_not=action_shifts.why_no_action_shift,
        effect=action_shifts.ActionDelay,
    ),
)

FAMILIES = {family.name: family for family in _TABLE}
ORDER = {family.name: place for place, family in enumerate(_TABLE)}


def list_families() -> tuple[Family, ...]:
    """All families, in canonical order."""
    return _TABLE


def families_for(env: Env) -> list[str]:
    """Names of the families that apply to an env, in canonical order."""
    return [family.name for family in _TABLE if family.why_not(env) is None]

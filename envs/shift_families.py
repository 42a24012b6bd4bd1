"""The families of shifts: one record each, in the order in which they are applied and printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from regoal.envs import action_shifts, goal_shifts, physics_shifts, sensing_shifts, start_shifts
from regoal.envs.shift_family import COMBINED, STAGES, Family
from regoal.envs.user_module import import_user_module
from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

FACTOR = "factor"
OBSERVATION_UNITS, ACTION_UNITS, STEPS = "observation units", "action units", "env steps"
ANY_OBSERVATION = "every env with a Box of floats as observation"
ANY_ACTION = "every env with a bounded Box as action"

_TABLE = (
    Family(
        name="friction",
        unit=FACTOR,
        stage="physics",
        identity=1.0,
        low=0.0,
        high=100.0,
        low_is_open=True,
        levels=(0.5, 0.2, 0.1),
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
        levels=(2.0, 5.0, 10.0),
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
        levels=(0.5, 0.2, 0.1),
        applies_to="every MuJoCo env (no effect to speak of on FetchReach and PointMaze)",
        description="gravity; 0 is weightless",
        why_not=physics_shifts.why_no_gravity,
        effect=physics_shifts.Gravity,
    ),
    Family(
        name="joint_damping",
        unit=FACTOR,
        stage="physics",
        identity=1.0,
        low=0.0,
        high=100.0,
        levels=(2.0, 5.0, 10.0),
        applies_to="Fetch (little effect: the arm is dragged along), Hand, PointMaze, AntMaze",
        description="damping of the robot's joints",
        why_not=physics_shifts.why_no_joint_damping,
        effect=physics_shifts.JointDamping,
    ),
    Family(
        name="start_region",
        unit=FACTOR,
        stage="start",
        identity=1.0,
        low=0.0,
        high=start_shifts.GREATEST_REGION,
        low_is_open=True,
        applies_to="FetchPush, FetchSlide, FetchPickAndPlace (the object), PointReach",
        description="horizontal extent of the region the start is drawn from, about its centre",
        why_not=start_shifts.why_no_start_region,
        effect=start_shifts.start_region,
        greatest=start_shifts.greatest_start_region,
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
        name="reward_threshold",
        unit=FACTOR,
        stage="goal",
        identity=1.0,
        low=0.0,
        high=10.0,
        low_is_open=True,
        fixed=True,
        levels=(0.7, 0.5, 0.3),
        applies_to="Fetch, HandReach, PointReach",
        description="distance within which a goal counts as reached: reward, success and hindsight",
        why_not=goal_shifts.why_no_reward_threshold,
        effect=goal_shifts.reward_threshold,
    ),
    Family(
        name="observation_bias",
        unit=OBSERVATION_UNITS,
        stage="sensing",
        identity=0.0,
        low=-math.inf,
        high=math.inf,
        levels=(0.005, 0.02, 0.04),
        applies_to=ANY_OBSERVATION,
        description="offset of every component of the observation, not of the goals",
        why_not=sensing_shifts.why_no_sensing_shift,
        effect=sensing_shifts.ObservationBias,
    ),
    Family(
        name="observation_noise",
        unit=OBSERVATION_UNITS,
        stage="sensing",
        identity=0.0,
        low=0.0,
        high=math.inf,
        levels=(0.005, 0.02, 0.04),
        applies_to=ANY_OBSERVATION,
        description="standard deviation of Gaussian noise on the observation, not on the goals",
        why_not=sensing_shifts.why_no_sensing_shift,
        effect=sensing_shifts.ObservationNoise,
    ),
    Family(
        name="observation_delay",
        unit=STEPS,
        stage="sensing",
        identity=0.0,
        low=0.0,
        high=50.0,
        whole=True,
        levels=(1.0, 2.0, 4.0),
        applies_to=ANY_OBSERVATION,
        description="age of the observation; the first one until there is one so old",
        why_not=sensing_shifts.why_no_sensing_shift,
        effect=sensing_shifts.ObservationDelay,
    ),
    Family(
        name="action_gain",
        unit=FACTOR,
        stage="action",
        identity=1.0,
        low=0.0,
        high=100.0,
        low_is_open=True,
        levels=(0.8, 0.5, 0.3),
        applies_to=ANY_ACTION,
        description="scale of the action about 0, or what is nearest to it in the box",
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
        levels=(15.0, 45.0, 90.0),
        applies_to="Fetch, PointMaze, PointReach",
        description="rotation of the action's x and y about z, counterclockwise from above",
        why_not=action_shifts.why_no_rotation,
        effect=action_shifts.ActionRotation,
    ),
    Family(
        name="action_bias",
        unit=ACTION_UNITS,
        stage="action",
        identity=0.0,
        low=-math.inf,
        high=math.inf,
        levels=(0.1, 0.3, 0.5),
        applies_to=ANY_ACTION,
        description="offset of every component of the action",
        why_not=action_shifts.why_no_action_shift,
        effect=action_shifts.ActionBias,
    ),
    Family(
        name="action_noise",
        unit=ACTION_UNITS,
        stage="action",
        identity=0.0,
        low=0.0,
        high=math.inf,
        levels=(0.2, 0.5, 1.0),
        applies_to=ANY_ACTION,
        description="standard deviation of Gaussian noise on every component of the action",
        why_not=action_shifts.why_no_action_shift,
        effect=action_shifts.ActionNoise,
    ),
    Family(
        name="action_delay",
        unit=STEPS,
        stage="action",
        identity=0.0,
        low=0.0,
        high=50.0,
        whole=True,
        levels=(1.0, 2.0, 3.0),
        applies_to=ANY_ACTION,
        description="steps until an action takes effect; the one nearest to 0 before that",
        why_not=action_shifts.why_no_action_shift,
        effect=action_shifts.ActionDelay,
    ),
)

FAMILIES = {family.name: family for family in _TABLE}  # `register_shift` adds a user's own


def find_family(name: str) -> Family:
    """The family of that name; `module:name` is looked up after importing the module.

    Raises:
        BadInput: there is none, its module cannot be imported, or it does not register the name.
    """
    module, colon, bare = name.rpartition(":")
    if name not in FAMILIES and colon:
        import_user_module(module, f"shift {name!r}")
        if name not in FAMILIES:
            raise BadInput(
                f"shift {name!r}",
                f"a module that registers {bare!r}",
                f"{module}, which does not",
                "Call regoal.envs.register_shift there, in the module that defines the effect.",
            )
    if name not in FAMILIES:
        raise BadInput("shift", "a known family, or module:name for your own", repr(name), _nearest(name))
    return FAMILIES[name]


def place(name: str) -> tuple[int, str, int]:
    """Sorts families into canonical order: by stage, ours before a user's.

    A user's stand in the order of their modules' names, and within a module as it registers them, so that
    one shift has one text in every process, whichever module was imported first.
    """
    family = FAMILIES[name]
    return STAGES.index(family.stage), family.module, list(FAMILIES).index(name)


def list_families() -> tuple[Family, ...]:
    """All families, in canonical order."""
    return tuple(FAMILIES[name] for name in sorted(FAMILIES, key=place))


def families_for(env: Env) -> list[str]:
    """Names of the families that apply to an env, in canonical order."""
    return [family.name for family in list_families() if family.why_not(env) is None]


def _nearest(name: str) -> str:
    full = [known for known in FAMILIES if known.endswith(f":{name}")]
    return f"Write {' or '.join(full)}." if full else did_you_mean(name, [*FAMILIES, COMBINED])

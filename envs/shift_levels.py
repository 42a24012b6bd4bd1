"""What mild, medium and hard stand for, env by env.

Aimed at: a policy that was trained without the shift loses about 10, 40 and 70 points of success to it. None
where a family applies, but has no effect to speak of: only exact figures are offered there.
"""

from __future__ import annotations

import re

from regoal.envs.shift_families import FAMILIES
from regoal.envs.shift_family import LEVEL_NAMES, Levels

__all__ = [
    "COMBINATIONS",
    "LEVELS",
    "LEVEL_NAMES",
    "combination",
    "env_name",
    "is_measured",
    "levels",
    "why_no_levels",
]

# Where trained policies have shown what the levels cost (benchmarks/results/shifts-NAME.csv), and in which
# env. Elsewhere they are starting values.
MEASURED = {
    "FetchReach": "FetchReach-v4",
    "FetchPush": "FetchPush-v4",
    "FetchSlide": "FetchSlide-v4",
    "FetchPickAndPlace": "FetchPickAndPlace-v4",
    "HandReach": "HandReach-v3",
    "PointMaze": "PointMaze_UMaze-v3",
    "PointReach": "regoal/PointReach-v0",
}

LEVELS: dict[str, dict[str, Levels | None]] = {
    "FetchReach": {
        "gravity": None,
        "joint_damping": None,
        "goal_region": None,
        "reward_threshold": (0.5, 0.3, 0.2),
        "observation_bias": (0.004, 0.006, 0.009),
        "observation_noise": (0.006, 0.015, 0.03),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.06, 0.05, 0.03),
        "action_rotation": (65, 70, 75),
        "action_bias": (0.6, 0.7, 0.8),
        "action_noise": (0.6, 1, 2),
        "action_delay": (1, 2, 3),
    },
    "FetchPush": {
        "friction": (0.55, 0.4, 0.28),
        "object_mass": None,
        "gravity": (0.6, 0.43, 0.26),
        "joint_damping": None,
        "start_region": None,
        "goal_region": None,
        "reward_threshold": (0.55, 0.38, 0.22),
        "observation_bias": (0.0045, 0.0063, 0.0078),
        "observation_noise": (0.002, 0.005, 0.01),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.55, 0.3, 0.17),
        "action_rotation": (38, 50, 60),
        "action_bias": (-0.25, -0.4, -0.55),
        "action_noise": (0.45, 0.95, 1.6),
        "action_delay": (1, 2, 3),
    },
    "FetchSlide": {
        "friction": (0.87, 0.7, 0.3),
        "object_mass": None,
        "gravity": (0.87, 0.7, 0.3),
        "joint_damping": (20, 50, 100),
        "start_region": None,
        "goal_region": (1.15, 1.3, 1.49),
        "reward_threshold": (0.8, 0.45, 0.2),
        "observation_bias": (0.0008, 0.0023, 0.006),
        "observation_noise": (0.001, 0.003, 0.008),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.91, 0.65, 0.35),
        "action_rotation": (13, 25, 50),
        "action_bias": (-0.1, -0.19, -0.35),
        "action_noise": (0.07, 0.25, 0.8),
        "action_delay": (1, 2, 3),
    },
    "FetchPickAndPlace": {
        "friction": (3.2, 5, 5.7),
        "object_mass": (23, 40, 100),
        "gravity": None,
        "joint_damping": None,
        "start_region": None,
        "goal_region": None,
        "reward_threshold": (0.32, 0.215, 0.165),
        "observation_bias": (0.006, 0.0097, 0.012),
        "observation_noise": (0.009, 0.017, 0.024),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.34, 0.235, 0.17),
        "action_rotation": (40, 50, 60),
        "action_bias": (0.4, 0.65, 0.77),
        "action_noise": (0.3, 0.5, 0.7),
        "action_delay": (1, 2, 3),
    },
    "HandReach": {
        "gravity": (1.6, 1.95, 2.4),
        "joint_damping": (8, 11, 20),
        "reward_threshold": (0.95, 0.86, 0.75),
        "observation_bias": (-0.0012, -0.0017, -0.0025),
        "observation_noise": (0.0015, 0.0025, 0.0045),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.94, 0.91, 0.86),
        "action_bias": (-0.03, -0.055, -0.09),
        "action_noise": (0.06, 0.1, 0.16),
        "action_delay": (1, 2, 3),
    },
    "PointMaze": {
        "gravity": None,
        "joint_damping": (30, 50, 100),
        "observation_bias": (0.1, 0.2, 0.4),
        "observation_noise": (0.8, 1.2, 2),
        "observation_delay": (10, 12, 20),
        "action_gain": (0.1, 0.04, 0.02),
        "action_rotation": (43, 48, 60),
        "action_bias": (0.7, 0.9, 0.95),
        "action_noise": (2, 5, 8),
        "action_delay": (10, 12, 20),
    },
    "AntMaze": {
        "friction": (0.5, 0.2, 0.1),
        "gravity": (0.7, 0.5, 0.2),
        "joint_damping": (2, 5, 10),
        "observation_bias": (0.05, 0.1, 0.2),
        "observation_noise": (0.05, 0.1, 0.2),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.8, 0.5, 0.3),
        "action_bias": (0.1, 0.2, 0.4),
        "action_noise": (0.2, 0.5, 1),
        "action_delay": (1, 2, 3),
    },
    "PointReach": {
        "start_region": None,
        "goal_region": None,
        "reward_threshold": (0.6, 0.4, 0.3),
        "observation_bias": (0.02, 0.03, 0.04),
        "observation_noise": (0.05, 0.1, 0.2),
        "observation_delay": (1, 2, 3),
        "action_gain": (0.3, 0.2, 0.1),
        "action_rotation": (55, 60, 65),
        "action_bias": (0.7, 0.8, 0.9),
        "action_noise": (0.7, 1.2, 2),
        "action_delay": (1, 2, 3),
    },
}

# What `combined` stands for.
_LAG_AND_LOSS: dict[str, Levels] = {"action_gain": (0.9, 0.7, 0.5), "action_delay": (1, 1, 2)}
COMBINATIONS: dict[str, dict[str, Levels]] = {
    "FetchReach": {
        "observation_noise": (0.006, 0.01, 0.02),
        "action_rotation": (15, 30, 40),
        "action_delay": (1, 1, 1),
    },
    "FetchPush": {
        "friction": (0.8, 0.6, 0.45),
        "action_gain": (0.6, 0.4, 0.3),
        "action_rotation": (20, 35, 45),
    },
    "FetchSlide": {
        "friction": (0.95, 0.75, 0.5),
        "action_gain": (0.97, 0.85, 0.7),
        "action_rotation": (2, 8, 15),
    },
    "FetchPickAndPlace": {
        "object_mass": (15, 20, 20),
        "action_gain": (0.45, 0.32, 0.26),
        "action_rotation": (37, 48, 50),
    },
    "HandReach": {"gravity": (1.3, 1.45, 1.7), "joint_damping": (6, 8, 9), "action_gain": (0.96, 0.94, 0.92)},
    "PointMaze": {"action_rotation": (41, 44, 50), "action_delay": (4, 4, 4)},
    "AntMaze": {"friction": (0.8, 0.5, 0.3), **_LAG_AND_LOSS},
    "PointReach": {
        "action_gain": (0.7, 0.7, 0.5),
        "action_rotation": (26, 30, 47),
        "action_delay": (1, 1, 1),
    },
}
OTHER_COMBINATION: dict[str, Levels] = {"observation_noise": (0.005, 0.01, 0.02), **_LAG_AND_LOSS}


def env_name(env_id: str) -> str:
    """The name that the tables have for an env: its id without module, namespace and version.

    >>> env_name("FetchPushDense-v4"), env_name("AntMaze_UMaze-v5"), env_name("my_env:my/Slider-v0")
    ('FetchPush', 'AntMaze', 'Slider')
    """
    bare = re.sub(r"-v\d+$", "", env_id.rpartition(":")[2].rpartition("/")[2])
    known = bare.removesuffix("Dense").partition("_")[0]
    return known if known in LEVELS else bare


def is_measured(env_id: str) -> bool:
    """Whether a trained policy has shown what the levels cost in this env, with whatever reward."""
    return MEASURED.get(env_name(env_id)) == env_id.replace("Dense-", "-")


def levels(env_id: str, family: str) -> Levels | None:
    """Figures for mild, medium and hard; None where only exact figures are offered.

    Whether the family applies to the env at all is for the env to say.

    Args:
        env_id: a gymnasium id or `module:namespace/Id-v0`.
        family: its name.
    """
    return LEVELS.get(env_name(env_id), {}).get(family, FAMILIES[family].levels)


def why_no_levels(env_id: str, family: str) -> str:
    """Why only exact figures are offered, where `levels` gives None."""
    known = family in LEVELS.get(env_name(env_id), {})
    return f"{'no effect' if known else 'no levels chosen'}: only exact figures"


def combination(env_id: str, level: str) -> dict[str, float]:
    """The families that `combined` stands for in an env, each with its figure for a level."""
    place = LEVEL_NAMES.index(level)
    table = COMBINATIONS.get(env_name(env_id), OTHER_COMBINATION)
    return {family: figures[place] for family, figures in table.items()}

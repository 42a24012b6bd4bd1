"""What a MuJoCo simulation says of itself beside its observations."""

from typing import Any

from regoal.envs.recipe import Env

# MuJoCo resets a simulation whose positions, velocities or accelerations are no longer finite numbers, in
# the middle of an episode, and goes on: observations stay finite, and only these counters tell.
RESETTING_WARNINGS = ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")


def silent_reset(env: Env) -> str | None:
    """Why MuJoCo has reset its simulation by itself since it was built, if it has; None without MuJoCo."""
    data: Any = getattr(env.unwrapped, "data", None)
    warnings = getattr(data, "warning", None)
    if warnings is None:
        return None
    import mujoco

    for name in RESETTING_WARNINGS:
        if warnings[int(getattr(mujoco.mjtWarning, name))].number:
            return f"{name} of {type(env.unwrapped).__name__}"
    return None

"""Goal environments: the contract and its checker, a small fast env, and the shifts."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.envs.goal_spec import GoalSpec
    from regoal.envs.recipe import EnvRecipe, make
    from regoal.envs.shift import Shift
    from regoal.envs.shift_effect import Effect
    from regoal.envs.shift_registration import register_shift

_HOME = {
    "Effect": "shift_effect",
    "EnvRecipe": "recipe",
    "GoalSpec": "goal_spec",
    "Shift": "shift",
    "make": "recipe",
    "register_shift": "shift_registration",
}

__all__ = ["Effect", "EnvRecipe", "GoalSpec", "Shift", "make", "register_shift"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

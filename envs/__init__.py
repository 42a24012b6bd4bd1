"""Goal environments: the contract and its checker, a small fast env, and the shifts."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.envs.goal_spec import GoalSpec
    from regoal.envs.recipe import EnvRecipe, make
    from regoal.envs.shift import Shift

_HOME = {"GoalSpec": "goal_spec", "EnvRecipe": "recipe", "make": "recipe", "Shift": "shift"}

__all__ = ["EnvRecipe", "GoalSpec", "Shift", "make"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

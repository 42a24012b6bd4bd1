"""A user's own families of shifts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from regoal.envs.shift_effect import Effect
from regoal.envs.shift_families import FAMILIES
from regoal.envs.shift_family import COMBINED, STAGES, Family, Levels
from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from regoal.envs.recipe import Env


def register_shift(
    name: str,
    effect: type[Effect],
    *,
    stage: str = "physics",
    unit: str = "its own unit",
    identity: float = 0.0,
    low: float = -math.inf,
    high: float = math.inf,
    whole: bool = False,
    fixed: bool = False,
    levels: Levels | None = None,
    applies_to: str = "envs it was written for",
    why_not: Callable[[Env], str | None] = lambda env: None,
    description: str = "",
) -> str:
    """Make a family of shifts known, so that it can be written like our own.

    Call it in the module that defines the effect. In the text of a shift the module stands before the
    name, `my_shifts:wind=3`, and is imported where the text is read: in rollout workers, and when a
    checkpoint is loaded. A family of the script that is being run has no such prefix, and is known to that
    script's own process alone. Registering the same effect class again replaces it.

    Args:
        name: lower-case letters, digits and underscores.
        effect: a subclass of `Effect`; it is built with the env below the shift.
        stage: physics, start, goal, sensing or action: its place in the order of effects.
        unit: of its value.
        identity: the value that changes nothing.
        low, high: least and greatest value.
        whole: whether the value counts something.
        fixed: whether it takes one figure for all episodes and `begin` is called with it at construction,
            too. Needed for what changes the reward: hindsight scores with an env that is never reset.
        levels: figures for mild, medium and hard.
        applies_to: the envs it applies to, for people.
        why_not: the reason why it does not apply to an env, or None where it does.
        description: one line, for people; the first line of the effect's docstring if not given.

    Returns:
        The name as it is written in the text of a shift: `my_shifts:wind`.

    Raises:
        BadInput: the name is ill-formed or taken, there is no such stage, or a figure is out of bounds.
    """
    where = f"register_shift {name!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BadInput(where, "a name of lower-case letters, digits and underscores", repr(name))
    if not (isinstance(effect, type) and issubclass(effect, Effect)):
        raise BadInput(where, "a subclass of regoal.envs.Effect", repr(effect))
    if stage not in STAGES:
        raise BadInput(where, f"a stage: {', '.join(STAGES)}", repr(stage), did_you_mean(stage, STAGES))
    module = effect.__module__
    full_name = name if module in ("__main__", "__mp_main__") else f"{module}:{name}"
    _refuse_taken(where, name, full_name, effect)
    family = Family(
        name=full_name,
        unit=unit,
        stage=stage,
        identity=float(identity),
        low=low,
        high=high,
        applies_to=applies_to,
        description=description or (effect.__doc__ or "").strip().partition("\n")[0],
        why_not=why_not,
        effect=effect,
        whole=whole,
        fixed=fixed,
        levels=levels,
        module=module,
    )
    if levels is not None and len(levels) != 3:
        raise BadInput(where, "three levels: mild, medium and hard", str(levels))
    for value in (identity, *(levels or ())):
        family.check_value(value)
    FAMILIES[full_name] = family
    return full_name


def _refuse_taken(where: str, name: str, full_name: str, effect: type[Effect]) -> None:
    if name == COMBINED or (name in FAMILIES and not FAMILIES[name].module):
        raise BadInput(where, "a name that no family of ours has", repr(name))
    known = FAMILIES.get(full_name)
    # A module that is loaded anew, and a cell that is run again, define the same class again.
    if known is not None and getattr(known.effect, "__qualname__", "") != effect.__qualname__:
        raise BadInput(where, "a name that is not taken", f"{full_name!r}, an effect of another class")

"""What is known of one family of shifts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regoal.envs.shift_effect import Effect
from regoal.errors import BadInput

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

STAGES = ("physics", "start", "goal", "sensing", "action")
LEVEL_NAMES = ("mild", "medium", "hard")
COMBINED = "combined"  # no family: stands for several of them at milder figures

Levels = tuple[float, float, float]  # mild, medium, hard


@dataclass(frozen=True)
class Family:
    """One way in which an env can be shifted.

    Attributes:
        name: as it is written in the text of a shift.
        unit: of its value.
        stage: one of `STAGES`: when it takes effect.
        identity: the value that changes nothing.
        low, high: bounds of the value, in `unit`.
        applies_to: the envs it applies to, for people.
        description: one line, for people.
        why_not: the reason why it does not apply to an env, or None where it does.
        effect: builds what does it.
        low_is_open: whether `low` itself is excluded.
        whole: whether the value counts something.
        fixed: whether one value holds for all episodes, from construction on, as it must for what changes
            the reward: hindsight scores episodes with an env that is never reset.
        greatest: the largest value that makes sense in an env, where that is less than `high`.
        levels: mild, medium and hard in envs that `shift_levels` does not name; None for no levels.
        module: the module that registered it; empty for our own.
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
    fixed: bool = False
    greatest: Callable[[Env], float] | None = None
    levels: Levels | None = None
    module: str = ""

    def bounds(self) -> str:
        """The values it takes, in words: `> 0 and <= 100 (factor)`."""
        limits = []
        if math.isfinite(self.low):
            limits.append(f"{'>' if self.low_is_open else '>='} {number_text(self.low)}")
        if math.isfinite(self.high):
            limits.append(f"<= {number_text(self.high)}")
        return f"{' and '.join(limits) or 'of any size'} ({self.unit})"

    def check_value(self, value: float) -> None:
        """That the family takes this value, whatever the env.

        Raises:
            BadInput: it is not finite, out of bounds, or not whole.
        """
        where = f"shift {self.name!r}"
        if not math.isfinite(value):
            raise BadInput(where, "a finite number", str(value), f"Its unit: {self.unit}.")
        too_low = value <= self.low if self.low_is_open else value < self.low
        if too_low or value > self.high:
            fix = f"The value that changes nothing is {number_text(self.identity)}."
            raise BadInput(where, f"a value {self.bounds()}", number_text(value), fix)
        if self.whole and value != int(value):
            raise BadInput(
                where, f"a whole number of {self.unit}", number_text(value), f"Write {round(value)}."
            )


def number_text(value: float) -> str:
    """The shortest text that reads back as the same number: `45`, `0.5`, `1e-07`."""
    return repr(float(value)).removesuffix(".0")

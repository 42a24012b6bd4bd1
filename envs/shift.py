"""A shift as a value: what makes a target env differ from its source.

    >>> str(Shift.parse("action_rotation=45, friction=0.10"))
    'friction=0.1,action_rotation=45'

A value is a figure (`0.5`), a range (`0.5..2`: drawn uniformly for each episode) or a list (`0.5/1/2`: one
of them chosen for each episode). Whatever order was typed, terms stand in the order in which they are
applied: physics, goal, sensing, then the action; what reaches the env is clipped to the action box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regoal.envs.shift_families import FAMILIES, ORDER, Family
from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from regoal.envs.recipe import Env


@dataclass(frozen=True)
class Term:
    """One family and its value.

    Attributes:
        family: a name in `shift_families.FAMILIES`.
        values: one figure; or the two ends of a range; or the figures of a list, kept sorted. In the
            family's unit.
        is_range: whether `values` are the ends of a range.

    Raises:
        BadInput: the family is unknown, or a value is not one that it takes.
    """

    family: str
    values: tuple[float, ...]
    is_range: bool = False

    def __post_init__(self) -> None:
        where = f"shift {self.family!r}"
        if self.family not in FAMILIES:
            raise BadInput("shift", "a known family", repr(self.family), did_you_mean(self.family, FAMILIES))
        for value in self.values:
            _check_value(where, FAMILIES[self.family], value)
        values = tuple(float(value) + 0.0 for value in self.values)  # + 0.0: no -0
        if self.is_range:
            if len(values) != 2 or not values[0] < values[1]:
                raise BadInput(
                    where,
                    "a range LOW..HIGH with LOW < HIGH",
                    "..".join(map(_number, values)),
                    "Write the smaller figure first, or one figure alone.",
                )
        else:
            if not values or len(set(values)) < len(values):
                raise BadInput(
                    where,
                    "one figure or a list of different ones",
                    "/".join(map(_number, values)) or "none",
                    "All figures of a list are equally likely: name each once.",
                )
            values = tuple(sorted(values))
        object.__setattr__(self, "values", values)

    @property
    def record(self) -> Family:
        """What is known of the family."""
        return FAMILIES[self.family]

    def draw(self, draws: np.random.Generator) -> float:
        """The value for one episode; a single figure draws nothing."""
        if not self.is_range:
            return self.values[0 if len(self.values) == 1 else int(draws.integers(len(self.values)))]
        low, high = self.values
        if self.record.whole:
            return float(draws.integers(int(low), int(high) + 1))  # both ends included
        return float(draws.uniform(low, high))

    def __str__(self) -> str:
        return f"{self.family}={('..' if self.is_range else '/').join(map(_number, self.values))}"


@dataclass(frozen=True)
class Shift:
    """Terms in canonical order, each family once; no terms is the env as it comes (and falsy).

    Raises:
        BadInput: a family is named twice.
    """

    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        names = [term.family for term in self.terms]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(
                    f"shift {name!r}",
                    "each family once",
                    f"{names.count(name)} values",
                    f"Keep one; to draw from several, write {name}=A/B or {name}=LOW..HIGH.",
                )
        object.__setattr__(self, "terms", tuple(sorted(self.terms, key=lambda term: ORDER[term.family])))

    @classmethod
    def parse(cls, text: str) -> Shift:
        """Read a text such as `action_rotation=45,action_gain=0.5`; the empty text is no shift.

        Raises:
            BadInput: naming the term, what was expected and what came.
        """
        return cls(tuple(_parse_term(item.strip()) for item in text.split(",")) if text.strip() else ())

    def apply(self, env: Env) -> Env:
        """The env shifted, or the env itself if there is nothing to shift.

        Raises:
            BadInput: a family or its value does not apply to this env, or the env is shifted already.
        """
        if not self:
            return env
        from regoal.envs.shifted import Shifted  # here, because a shift is read where no env is built

        return Shifted(env, str(self))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))


def _parse_term(item: str) -> Term:
    name, equals, value = (part.strip() for part in item.partition("="))
    if not equals:
        hint = f"Write {name}=VALUE." if name in FAMILIES else did_you_mean(name, FAMILIES)
        raise BadInput("shift", "family=value, with commas between", repr(item), hint)
    if name not in FAMILIES:
        raise BadInput("shift", "a known family", repr(name), did_you_mean(name, FAMILIES))
    is_range = ".." in value
    parts = value.split("..", 1) if is_range else value.split("/")
    return Term(name, tuple(_parse_number(name, part.strip(), value) for part in parts), is_range)


def _parse_number(name: str, part: str, value: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise BadInput(
            f"shift {name!r}",
            "a figure 0.5, a range 0.5..2 or a list 0.5/1/2",
            repr(value),
            f"{part!r} is not a number." if part else "A number is missing.",
        ) from None


def _check_value(where: str, family: Family, value: float) -> None:
    if not math.isfinite(value):
        raise BadInput(where, "a finite number", str(value), f"Its unit: {family.unit}.")
    too_low = value <= family.low if family.low_is_open else value < family.low
    if too_low or value > family.high:
        floor = f"{'>' if family.low_is_open else '>='} {_number(family.low)}"
        ceiling = f" and <= {_number(family.high)}" if math.isfinite(family.high) else ""
        raise BadInput(
            where,
            f"a value {floor}{ceiling} ({family.unit})",
            _number(value),
            f"The value that changes nothing is {_number(family.identity)}.",
        )
    if family.whole and value != int(value):
        raise BadInput(where, f"a whole number of {family.unit}", _number(value), f"Write {round(value)}.")


def _number(value: float) -> str:
    """The shortest text that reads back as the same number: `45`, `0.5`, `1e-07`."""
    text = repr(float(value))
    return text.removesuffix(".0")

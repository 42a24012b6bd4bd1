"""A shift as a value: what makes a target env differ from its source.

    >>> str(Shift.parse("action_rotation=45, friction=0.10"))
    'friction=0.1,action_rotation=45'

A value is a figure (`0.5`), a range (`0.5..2`: drawn uniformly for each episode), a list (`0.5/1/2`: one of
them chosen for each episode) or a level (`mild`, `medium`, `hard`: a figure that depends on the env, see
`shift_levels`). Whatever order was typed, terms stand in the order in which they are applied: physics,
start, goal, sensing, then the action; what reaches the env is clipped to the action box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regoal.envs.shift_families import find_family, place
from regoal.envs.shift_family import COMBINED, LEVEL_NAMES, STAGES, Family, number_text
from regoal.envs.shift_hints import TERMS, refuse_commas_in_figures, term_fix, value_fix
from regoal.envs.shift_levels import combination, levels, why_no_levels
from regoal.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from regoal.envs.recipe import Env


MOST_CHARACTERS = 2_000  # of a text


@dataclass(frozen=True)
class Term:
    """One family and its value.

    Attributes:
        family: a name in `shift_families.FAMILIES`, `module:name` for one that a module of the user's
            registers, or `combined`.
        values: one figure; or the two ends of a range; or the figures of a list, kept sorted. In the
            family's unit. Empty where a level stands instead.
        is_range: whether `values` are the ends of a range.
        level: mild, medium or hard, until the env is known; else empty.

    Raises:
        BadInput: the family is unknown, or a value is not one that it takes.
    """

    family: str
    values: tuple[float, ...] = ()
    is_range: bool = False
    level: str = ""

    def __post_init__(self) -> None:
        where = f"shift {self.family!r}"
        if self.family == COMBINED:
            if self.level not in LEVEL_NAMES or self.values:
                got = self._values_text() or repr(self.level)
                fix = "It stands for several families: for figures of your own, name those."
                raise BadInput(where, "a level: mild, medium or hard", got, fix)
            return
        family = find_family(self.family)
        if self.level:
            if self.level not in LEVEL_NAMES or self.values:
                raise BadInput(where, "one of mild, medium, hard, or figures", repr(self.level))
            return
        for value in self.values:
            family.check_value(value)
        object.__setattr__(self, "values", tuple(float(value) + 0.0 for value in self.values))  # no -0
        if self.is_range:
            if len(self.values) != 2 or not self.values[0] < self.values[1]:
                raise BadInput(
                    where,
                    "a range LOW..HIGH with LOW < HIGH",
                    self._values_text(),
                    "Write the smaller figure first, or one figure alone.",
                )
        else:
            if not self.values or len(set(self.values)) < len(self.values):
                raise BadInput(
                    where,
                    "one figure or a list of different ones",
                    self._values_text() or "none",
                    "All figures of a list are equally likely: name each once.",
                )
            object.__setattr__(self, "values", tuple(sorted(self.values)))
        if family.fixed and len(self.values) > 1:
            raise BadInput(
                where,
                "one figure",
                self._values_text(),
                "It changes the reward, and hindsight needs one reward for all episodes.",
            )

    @property
    def record(self) -> Family:
        """What is known of the family."""
        return find_family(self.family)

    def draw(self, draws: np.random.Generator) -> float:
        """The value for one episode; a single figure draws nothing."""
        if not self.is_range:
            return self.values[0 if len(self.values) == 1 else int(draws.integers(len(self.values)))]
        low, high = self.values
        if self.record.whole:
            return float(draws.integers(int(low), int(high) + 1))  # both ends included
        return float(draws.uniform(low, high))

    def resolved(self, env_id: str) -> tuple[Term, ...]:
        """The term with a figure for its level; the terms that `combined` stands for.

        Raises:
            BadInput: the level stands for nothing in this env.
        """
        if not self.level:
            return (self,)
        if self.family == COMBINED:
            figures = combination(env_id, self.level)
            return tuple(Term(family, (figure,)) for family, figure in figures.items())
        known = levels(env_id, self.family)
        if known is None:
            raise BadInput(
                f"{env_id} shift {self.family!r}",
                f"an exact figure {self.record.bounds()}",
                f"{self.level!r} ({why_no_levels(env_id, self.family)})",
                f"{number_text(self.record.identity)} changes nothing. `regoal shifts {env_id}` says whether "
                "it applies there at all.",
            )
        return (Term(self.family, (known[LEVEL_NAMES.index(self.level)],)),)

    def _values_text(self) -> str:
        return (".." if self.is_range else "/").join(map(number_text, self.values))

    def __str__(self) -> str:
        return f"{self.family}={self.level or self._values_text()}"


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
        object.__setattr__(self, "terms", tuple(sorted(self.terms, key=lambda term: _place(term.family))))

    @classmethod
    def parse(cls, text: str) -> Shift:
        """Read a text such as `action_rotation=45,action_gain=0.5`; the empty text is no shift.

        Raises:
            BadInput: naming the term, what was expected and what came.
        """
        if not text.strip():
            return cls()
        if len(text) > MOST_CHARACTERS:
            got = f"{len(text):,}, {text[:60]!r} ..."
            raise BadInput("shift", f"at most {MOST_CHARACTERS:,} characters", got)
        items = [" ".join(item.split()) for item in text.split(",")]
        refuse_commas_in_figures(items)
        return cls(tuple(map(_parse_term, items)))

    def resolved(self, env_id: str) -> Shift:
        """The same with figures for levels, and for `combined` the families that it stands for.

        Args:
            env_id: a gymnasium id or `module:namespace/Id-v0`.

        Raises:
            BadInput: a level is not offered in this env, or `combined` stands for a family that is also
                given.
        """
        parts = [(term, part) for term in self.terms for part in term.resolved(env_id)]
        for term, part in parts:
            if term.family == COMBINED and any(part.family == given.family for given in self.terms):
                raise BadInput(
                    f"{env_id} shift {part.family!r}",
                    "each family once",
                    f"one value of its own and {part} in {term}",
                    f"Write {','.join(map(str, term.resolved(env_id)))} for {term}, and change it there.",
                )
        return Shift(tuple(part for _, part in parts))

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


def _place(name: str) -> tuple[int, str, int]:
    return (len(STAGES), "", 0) if name == COMBINED else place(name)


def _parse_term(item: str) -> Term:
    name, equals, value = (part.strip() for part in item.partition("="))
    if not (equals and name):
        raise BadInput("shift", TERMS, repr(item), term_fix(item))
    if name != COMBINED:
        find_family(name)  # before the value is looked at: the name is the first thing to mend
    if value in LEVEL_NAMES:
        return Term(name, level=value)
    if "..." in value:  # or it would be read as LOW to 0.HIGH
        raise _no_value(name, value, value)
    is_range = ".." in value
    parts = value.split("..", 1) if is_range else value.split("/")
    return Term(name, tuple(_parse_number(name, part.strip(), value) for part in parts), is_range)


def _parse_number(name: str, part: str, value: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise _no_value(name, part, value) from None


def _no_value(name: str, part: str, value: str) -> BadInput:
    return BadInput(
        f"shift {name!r}",
        "a figure 0.5, a range 0.5..2 or a list 0.5/1/2, or a level: mild, medium or hard",
        repr(value),
        value_fix(name, part, value),
    )

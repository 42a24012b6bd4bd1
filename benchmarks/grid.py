"""What a suite compares, as values: tasks, arms, and the settings of each. Imports nothing heavy.

A task is an env with a shift; an arm is a combination of all other dimensions of the grid. Every arm runs in
every task for every seed.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regoal.agent.config import TrainConfig
from regoal.agent.trust import require_trusted
from regoal.envs.shift import Shift
from regoal.errors import BadInput

TASK_DIMENSIONS = ("env", "shift")
MOST_COMBINATIONS = 100_000
VARIANT = "variant"  # a name for what overrides change; no setting
USUAL_DIMENSIONS = ("agent", "relabel", "mode")
ARM_DIMENSIONS = (*USUAL_DIMENSIONS, VARIANT)  # any other setting may be one too
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Override:
    """Other settings for some of the arms.

    Attributes:
        when: dimensions of the grid and the values they must have.
        set: settings by dotted name; those of a later override win.
    """

    when: Values
    set: Values


@dataclass(frozen=True)
class Suite:
    """A comparison; every value is as in TOML.

    Attributes:
        name: of its results.
        title: for people.
        seeds: each arm runs once for each.
        steps: env steps of an arm.
        eval_interval: env steps between its evaluations.
        eval_episodes: episodes an evaluation.
        pretrain: `steps`, `shift` and other settings of the sources alone; None where there are none.
        grid: the values of each dimension: env, shift, agent, relabel, mode, perhaps variant, then others.
        settings: of all arms and sources.
        overrides: for some of them.
        skips: combinations that are left out.
        baseline: values that name the arm that others are compared with.
        preset: name of the one under the settings of all arms and sources; auto for that of each env.
        file: where it was read, for messages.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    steps: int
    eval_interval: int
    eval_episodes: int
    pretrain: Values | None
    grid: Mapping[str, tuple[Any, ...]]
    settings: Values
    overrides: tuple[Override, ...]
    skips: tuple[Values, ...]
    baseline: Values | None
    preset: str = "none"
    file: str = field(default="suite", compare=False)

    def to_toml(self) -> dict[str, Any]:
        """All of it, as `load_suite` reads it."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("name", "title", "seeds", "steps", "eval_interval", "eval_episodes")
        }
        values["seeds"] = list(self.seeds)
        if self.preset != "none":
            values["preset"] = self.preset
        if self.pretrain is not None:
            values["pretrain"] = dict(self.pretrain)
        values["grid"] = {name: list(dimension) for name, dimension in self.grid.items()}
        values["settings"] = dict(self.settings)
        values["override"] = [{"when": dict(one.when), "set": dict(one.set)} for one in self.overrides]
        values["skip"] = [dict(one) for one in self.skips]
        if self.baseline is not None:
            values["baseline"] = dict(self.baseline)
        return values


@dataclass(frozen=True)
class Arm:
    """One way to learn.

    Attributes:
        name: the values of those dimensions that vary, joined: `ddpg-future-warm_start`.
        values: of its dimensions, by their name.
    """

    name: str
    values: Values


@dataclass(frozen=True)
class Task:
    """One world to learn in.

    Attributes:
        env: its id.
        shift: canonical text with figures for levels; empty for the env as it comes.
        values: of its dimensions, as they stand in the suite.
    """

    env: str
    shift: str
    values: Values

    @property
    def name(self) -> str:
        """The env, and the shift where there is one."""
        return f"{self.env} {self.shift}".strip()


def arms_of(suite: Suite) -> list[Arm]:
    """The arms of a suite, in the order of its grid."""
    own = {name: values for name, values in suite.grid.items() if name not in TASK_DIMENSIONS}
    varied = [name for name, values in own.items() if len(values) > 1] or list(USUAL_DIMENSIONS)
    return [
        Arm("-".join(label_of(name, values[name]) for name in varied), values)
        for values in _combinations(suite, own)
    ]


def tasks_of(suite: Suite) -> list[Task]:
    """The tasks of a suite, in the order of its grid.

    Raises:
        BadInput: a shift that is unknown or not offered in an env, two that are the same, or a module that
            the user has not named.
    """
    own = {name: suite.grid[name] for name in TASK_DIMENSIONS}
    tasks: list[Task] = []
    for values in _combinations(suite, own):
        place = f"{suite.file} [grid]"
        task = Task(values["env"], shift_of(values["env"], values["shift"], place), values)
        if any(task.name == other.name for other in tasks):
            raise BadInput(f"{place} shift", "different tasks", f"{task.name!r} twice", "Name it once.")
        tasks.append(task)
    return tasks


def shift_of(env: str, text: str, place: str) -> str:
    """The canonical text of a shift in an env.

    Raises:
        BadInput: naming the place; or a module that the user has not named, which is not imported.
    """
    require_trusted(TrainConfig(env=env, out="", shift=text), place)
    try:
        return str(Shift.parse(text).resolved(env))
    except BadInput as error:
        raise placed(place, error) from error


def matches(wanted: Values, values: Values) -> bool:
    """Whether a combination has all the values that are wanted."""
    return all(values.get(name) == value for name, value in wanted.items())


def as_text(value: Any) -> str:
    """A value of a dimension as a part of a name."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def label_of(name: str, value: Any) -> str:
    """A dimension and its value as a part of a name; agent, strategy, mode and variant need no dimension."""
    return as_text(value) if name in ARM_DIMENSIONS else f"{name.rpartition('.')[2]}={as_text(value)}"


def placed(place: str, error: BadInput) -> BadInput:
    """An error that says in which file and table it is."""
    return BadInput(f"{place} {error.where}", error.expected, error.got, error.fix)


def _combinations(suite: Suite, dimensions: Mapping[str, tuple[Any, ...]]) -> Iterator[Values]:
    skips = [skip for skip in suite.skips if set(skip) <= set(dimensions)]
    if (number := math.prod(map(len, dimensions.values()))) > MOST_COMBINATIONS:
        raise BadInput(f"{suite.file} [grid]", f"at most {MOST_COMBINATIONS:,} combinations", f"{number:,}")
    for values in itertools.product(*dimensions.values()):
        combination = dict(zip(dimensions, values, strict=True))
        if not any(matches(skip, combination) for skip in skips):
            yield combination

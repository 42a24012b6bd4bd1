"""How far a run is: everything but arrays and episodes that it takes to go on from a checkpoint."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from regoal.errors import BadInput


@dataclass
class RunState:
    """Counters and what else changes as a run goes on; stands in every checkpoint.

    Attributes:
        env_steps: collected and learned from.
        gradient_steps: updates made.
        block_began: env steps before the block whose updates, evaluation and checkpoint are still due; as
            many as there are between two blocks.
        episodes: collected; also the number of the next one.
        discarded_steps: env steps that were played and not learned from: their episode was spoiled.
        failed_episodes: training episodes that the env spoiled.
        failed_in_a_row: the last so many were.
        evaluations: begun, the one before the first step included.
        steps_seen: env steps that updates were made for.
        updates_owed: part of an update that the steps so far have earned beyond those made.
        success: of the last evaluation; None before there is one.
        wall_seconds: that the run has taken, over all its sittings.
        sums: of what was noted since the last evaluation, and how often, by column of metrics.csv. Not each
            figure: of a million updates without an evaluation they would fill a checkpoint.
        pending: columns of an evaluation that was begun and has no result yet.
        log_bytes: sizes of the run's logs, by file name: what is beyond was written after the checkpoint.
    """

    env_steps: int = 0
    gradient_steps: int = 0
    block_began: int = 0
    episodes: int = 0
    discarded_steps: int = 0
    failed_episodes: int = 0
    failed_in_a_row: int = 0
    evaluations: int = 0
    steps_seen: int = 0
    updates_owed: float = 0.0
    success: float | None = None
    wall_seconds: float = 0.0
    sums: dict[str, list[float]] = field(default_factory=dict)
    pending: dict[str, float] | None = None
    log_bytes: dict[str, int] = field(default_factory=dict)

    def note(self, column: str, value: float) -> None:
        """Keep a figure for the next row of metrics.csv, which has the mean of them."""
        total = self.sums.setdefault(column, [0.0, 0])
        total[0] += value
        total[1] += 1

    def means(self) -> dict[str, float]:
        """Of what was noted since the last evaluation, by column."""
        return {column: total / count for column, (total, count) in self.sums.items()}

    def counters(self) -> dict[str, float]:
        """The columns that every row of metrics.csv begins with."""
        names = ("env_steps", "gradient_steps", "episodes", "discarded_steps", "failed_episodes")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "RunState":
        """What `to_json` gave.

        Raises:
            BadInput: it is something else.
        """
        state = cls()
        names = {one.name for one in fields(cls)}
        if isinstance(values, dict):
            values = _as_now(values)
        if not isinstance(values, dict) or set(values) != names:
            raise BadInput("checkpoint progress", f"{', '.join(sorted(names))}", repr(values)[:200])
        for name, value in values.items():
            if not FITS[name](value):
                raise BadInput(f"checkpoint progress {name}", "what was saved", repr(value)[:200])
            setattr(state, name, value)
        if state.block_began > state.env_steps:
            expected = f"at most env_steps, {state.env_steps}"
            raise BadInput("checkpoint progress block_began", expected, f"{state.block_began}")
        return state


def _as_now(values: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint of an earlier version says, without `block_began` and with each figure noted."""
    values = {"block_began": values.get("env_steps")} | values
    noted = values.pop("noted", None)
    if isinstance(noted, dict) and all(map(_numbers, noted.values())):
        values["sums"] = {column: [float(sum(some)), len(some)] for column, some in noted.items()}
    return values


MOST = 1 << 53  # of anything that is counted


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _maybe(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _named(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_number, value))


def _sum(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and _number(value[0])
        and _count(value[1])
        and value[1] > 0
    )


# What each attribute may be when it comes from a file.
FITS: dict[str, Callable[[Any], bool]] = {one.name: _count for one in fields(RunState)} | {
    "updates_owed": _number,
    "success": _maybe(_number),
    "wall_seconds": _number,
    "sums": _named(_sum),
    "pending": _maybe(_named(_number)),
    "log_bytes": _named(_count),
}

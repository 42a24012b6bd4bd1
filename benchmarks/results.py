"""The tidy results of a benchmark: one CSV, a row an evaluation, made of its finished cells alone.

    suite, task, arm, env, shift, mode, relabel, agent, seed, env_steps, gradient_steps, success, return,
    zero_shot, commit, config_hash, command, wall_seconds

`task` is the env, and its shift where there is one; `zero_shot` is 1 for arms that are evaluated once and do
not learn; `wall_seconds` is the one column that another run of the same suite gives other values for.
"""

import contextlib
import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from regoal.benchmarks.curves import Curve
from regoal.benchmarks.staging import staged
from regoal.benchmarks.tables import read_rows
from regoal.errors import BadInput

Value = TypeVar("Value")

RESULTS = "results.csv"
DONE = "cell.json"  # in the folder of a finished cell
OF_CELL = ("suite", "task", "arm", "env", "shift", "mode", "relabel", "agent", "seed")
OF_EVALUATION = ("env_steps", "gradient_steps", "success", "return")
ORIGIN = ("zero_shot", "commit", "config_hash", "command")
COLUMNS = (*OF_CELL, *OF_EVALUATION, *ORIGIN, "wall_seconds")


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return math.isfinite(float(text))
    return False


def _is_whole(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 20


def _is_text(text: str) -> bool:
    return text[:1] not in ("=", "+", "-", "@", "\t", "\r")


# What a cell of a table must be, which may come from elsewhere and is written into others.
CELLS = (
    *((name, "a whole number", _is_whole) for name in ("seed", "env_steps", "gradient_steps")),
    *((name, "a finite number", _is_number) for name in ("success", "return", "wall_seconds")),
    *(
        (name, "no formula of a spreadsheet", _is_text)
        for name in ("suite", "task", "arm", "env", "shift", "mode", "relabel", "agent", *ORIGIN)
    ),
)


def require_tabular(columns: Mapping[str, Any], place: str, fix: str) -> None:
    """That a table may have these cells: those of a run before it is begun, or those of a file that is read.

    Raises:
        BadInput: it could not be read back, or a spreadsheet would take one for a formula.
    """
    for name, expected, is_fine in CELLS:
        if name in columns and not is_fine(str(columns[name])):
            raise BadInput(f"{place} {name}", expected, repr(columns[name])[:200], fix)


def write_results(out: Path, runs: Iterable[Path]) -> Path:
    """Write DIR/results.csv anew from the finished cells: the same bytes for the same cells.

    Args:
        out: DIR, the folder of the benchmark.
        runs: folders of its finished cells, in the order of the suite; sources have no rows.

    Returns:
        The file.
    """
    path = out / RESULTS
    with staged(path) as stage, stage.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(runs))
    return path


def _rows(runs: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for run in runs:
        columns = json.loads((run / DONE).read_text())
        if not columns.get("arm"):
            continue
        same = {name: columns[name] for name in (*OF_CELL, *ORIGIN)}
        for row in read_rows(run / "metrics.csv"):
            yield same | {name: row[name] for name in (*OF_EVALUATION, "wall_seconds")}


@dataclass(frozen=True)
class Results:
    """What a benchmark found.

    Attributes:
        rows: of results.csv, as text, by column.
    """

    rows: tuple[dict[str, str], ...]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of the suite."""
        return _in_order(row["task"] for row in self.rows)

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in the order of the suite."""
        return _in_order(row["arm"] for row in self.rows)

    @property
    def seeds(self) -> list[int]:
        """Seeds of which any cell is finished, in the order of the suite."""
        return _in_order(int(row["seed"]) for row in self.rows)

    @property
    def zero_shot(self) -> set[str]:
        """Names of the arms that do not learn."""
        return {row["arm"] for row in self.rows if row["zero_shot"] == "1"}

    def seeds_of(self, task: str, arm: str) -> list[int]:
        """Seeds whose cells are finished: the rows of the curve, in their order."""
        return list(self._runs(task, arm))

    def curve(self, task: str, arm: str) -> Curve:
        """Success of an arm in a task, a row a finished seed.

        Where episodes differ in length, so do the steps at which runs are evaluated: the curve then has the
        steps of the run with most evaluations, and of each run the evaluation that is nearest to them. An
        arm of mode zero_shot, which is evaluated once, is a constant over the steps of the other arms.

        Raises:
            BadInput: no cell of the arm in the task is finished.
        """
        runs = self._runs(task, arm)
        if not runs:
            raise BadInput("results", "a finished cell", f"none of {arm!r} in {task!r}")
        others = [run for name in self.arms for run in self._runs(task, name).values()]
        longest = max(others if arm in self.zero_shot else list(runs.values()), key=len)
        steps = longest[:, 0]
        return Curve(steps, np.array([_nearest(run, steps) for run in runs.values()]))

    def _runs(self, task: str, arm: str) -> dict[int, np.ndarray[Any, np.dtype[np.float64]]]:
        """Steps and success of each seed's evaluations, (points, 2)."""
        runs: dict[int, list[tuple[float, float]]] = {}
        for row in self.rows:
            if row["task"] == task and row["arm"] == arm:
                points = runs.setdefault(int(row["seed"]), [])
                points.append((float(row["env_steps"]), float(row["success"])))
        return {seed: np.array(points) for seed, points in runs.items()}


def read_results(path: Path) -> Results:
    """Read a results.csv.

    Raises:
        BadInput: there is none, or it has other columns.
    """
    try:
        rows = read_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput("results", "a results.csv of `regoal benchmark`", f"{path} ({error})") from error
    for row in rows:
        if tuple(row) != COLUMNS or None in row.values():
            got = ", ".join(map(str, row))
            raise BadInput(f"{path}", f"the columns {', '.join(COLUMNS)}", got[:500], "Write it anew.")
        require_tabular(row, str(path), "Write it anew.")
    return Results(tuple(rows))


def _nearest(
    run: np.ndarray[Any, np.dtype[np.float64]], steps: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Success (points,) of a run (evaluations, 2) where it was evaluated nearest to each of the steps."""
    after = np.clip(np.searchsorted(run[:, 0], steps), 1, max(len(run) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(run) - 1)
    nearer = np.abs(run[before, 0] - steps) <= np.abs(run[after, 0] - steps)  # of two, the earlier one
    return np.asarray(run[np.where(nearer, before, after), 1])


def _in_order(values: Iterable[Value]) -> list[Value]:
    return list(dict.fromkeys(values))

"""Cells that another machine has finished: rows of its results.csv in place of their runs."""

import csv
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from regoal.benchmarks.cell_run import LOCK_SECONDS, is_finished, locked, require_own_place
from regoal.benchmarks.cells import Cell
from regoal.benchmarks.parallel import next_free
from regoal.benchmarks.results import DONE, OF_EVALUATION, ORIGIN, Results, read_results
from regoal.errors import BadInput

METRICS = (*OF_EVALUATION, "wall_seconds")


def read_known(path: Path) -> Results:
    """Read a table to take cells over from.

    Raises:
        BadInput: it is none, or has no rows.
    """
    fix = "Leave it out to run all cells."
    try:
        known = read_results(path)
    except BadInput as error:
        raise BadInput("known", error.expected, error.got, fix) from error
    if not known.rows:
        raise BadInput(
            "known", "a results.csv of `regoal benchmark` with rows", f"{path}, which has none", fix
        )
    return known


def take_over(cells: Sequence[Cell], known: Results, lock_seconds: float = LOCK_SECONDS) -> int:
    """Make cells finished that have rows in a table and are not finished here.

    Their folders then hold an evaluation a row, and no policy: nothing can start from them, and a source,
    which has no rows, is none of them. A run that has begun here, or was of other settings, is kept in a
    folder NAME.begun.

    Args:
        cells: of a suite, sources included.
        known: results of the same suite. Rows of cells that are not in it, or had other settings, are passed
            over: their config_hash tells. So are those of a cell whose last rows are missing.
        lock_seconds: to wait for a process that has the lock of a run and is about to end.

    Returns:
        How many were made so.

    Raises:
        BadInput: another process works on one of them.
    """
    found = to_take_over(cells, known)
    for cell, rows in found:
        require_own_place(cell)
        if cell.path.exists():
            with locked(cell.path, lock_seconds):  # by none that still works on it
                cell.path.rename(next_free(cell.path.with_name(f"{cell.path.name}.begun")))
        _write(cell, rows)
    return len(found)


def to_take_over(cells: Sequence[Cell], known: Results) -> list[tuple[Cell, list[dict[str, str]]]]:
    """Cells that `take_over` would make finished, and their rows; changes nothing."""
    rows: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in known.rows:
        rows.setdefault((row["task"], row["arm"], row["seed"]), []).append(row)
    found = []
    for cell in cells:
        if cell.columns and not is_finished(cell):
            its = rows.get((cell.columns["task"], cell.columns["arm"], str(cell.columns["seed"])), [])
            if its and _is_whole(cell, its):
                found.append((cell, its))
    return found


def _is_whole(cell: Cell, rows: Sequence[dict[str, str]]) -> bool:
    """Whether rows are of a cell's settings, to its end."""
    same = all(row["config_hash"] == cell.config_hash for row in rows)
    return same and int(rows[-1]["env_steps"]) >= cell.config.steps


def _write(cell: Cell, rows: Sequence[dict[str, str]]) -> None:
    stage = cell.path.with_name(f".{cell.path.name}-{os.getpid()}")
    stage.parent.mkdir(parents=True, exist_ok=True)
    if stage.is_dir() and not stage.is_symlink():
        shutil.rmtree(stage)  # of a process that was killed and had this number
    stage.mkdir()
    with (stage / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, METRICS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    columns = dict(cell.columns) | {name: rows[0][name] for name in ORIGIN}
    (stage / DONE).write_text(json.dumps(columns, indent=1) + "\n")
    stage.rename(cell.path)

"""Cells that another machine has finished: rows of its results.csv in place of their runs."""

import csv
import json
from collections.abc import Sequence

from regoal.benchmarks.cells import Cell
from regoal.benchmarks.results import DONE, OF_EVALUATION, ORIGIN, Results

METRICS = (*OF_EVALUATION, "wall_seconds")


def take_over(cells: Sequence[Cell], known: Results) -> int:
    """Make cells finished that have rows in a table and have not begun here.

    Their folders then hold an evaluation a row, and no policy: nothing can start from them, and a source,
    which has no rows, is none of them.

    Args:
        cells: of a suite, sources included.
        known: results of the same suite. Rows of cells that are not in it, or had other settings, are passed
            over: their config_hash tells.

    Returns:
        How many were made so.
    """
    rows: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in known.rows:
        rows.setdefault((row["task"], row["arm"], row["seed"]), []).append(row)
    taken = 0
    for place, cell in enumerate(cells):
        if not cell.columns or cell.path.exists():
            continue
        found = rows.get((cell.columns["task"], cell.columns["arm"], str(cell.columns["seed"])), [])
        if found and all(row["config_hash"] == cell.config_hash for row in found):
            _write(cell, place, found)
            taken += 1
    return taken


def _write(cell: Cell, place: int, rows: Sequence[dict[str, str]]) -> None:
    cell.path.mkdir(parents=True)
    with (cell.path / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, METRICS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    columns = dict(cell.columns) | {name: rows[0][name] for name in ORIGIN} | {"place": place}
    stage = cell.path / f".{DONE}"
    stage.write_text(json.dumps(columns, indent=1) + "\n")
    stage.rename(cell.path / DONE)

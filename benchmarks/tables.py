"""Rows of a benchmark as a CSV, and the CSV as rows of text."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from regoal.agent.durable import read_plain
from regoal.benchmarks.staging import staged
from regoal.errors import BadInput

MOST_TABLE_BYTES = 1 << 28  # ours have less than a megabyte


def write_rows(path: Path, row_type: type[Any], rows: Iterable[Any]) -> None:
    """Write dataclass instances or their dicts, a column a field; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(row_type)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = row if isinstance(row, Mapping) else vars(row)
            writer.writerow([as_text(values[name]) for name in names])


def replace_rows(path: Path, row_type: type[Any], rows: Iterable[Any]) -> None:
    """As `write_rows`, beside the file and then renamed: whoever is killed leaves the former one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(path) as stage:
        write_rows(stage, row_type, rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows as they stand in the file.

    A last line without its end is left out: it is being written, or what wrote it was killed.
    """
    contents = read_plain(path.resolve(), MOST_TABLE_BYTES)
    whole = contents[: contents.rfind(b"\n") + 1].decode()
    return list(csv.DictReader(io.StringIO(whole, newline="")))


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table, none where there is no file.

    Raises:
        BadInput: it has other columns.
    """
    rows = read_rows(path) if path.exists() else []
    if rows and list(rows[0]) != list(columns):
        raise BadInput(str(path), f"the columns {', '.join(columns)}", ", ".join(rows[0]), "Move it away.")
    return rows


def as_text(value: object) -> str:
    """Nothing for None; four digits of a float, which are more than a machine repeats."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

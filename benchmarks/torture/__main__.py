"""Puts regoal through everything that it promises to survive: `make torture`.

    python -m regoal.benchmarks.torture --results benchmarks/results [--only kill soak ...] [--scale 0.1]

One row a test in torture.csv. `--only` leaves the rows of the others as they stand; `--scale` takes a share
of the tries, and of the half hour of the soak. The exit code is 1 if anything failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from regoal.benchmarks.tables import as_text, read_rows, write_rows
from regoal.benchmarks.torture.benchmark_kills import cell_kills, smoke_kills
from regoal.benchmarks.torture.chains import CHAINS, chains
from regoal.benchmarks.torture.damage import bit_flips, truncations
from regoal.benchmarks.torture.faults import faults
from regoal.benchmarks.torture.kills import kills
from regoal.benchmarks.torture.malice import cases, malicious
from regoal.benchmarks.torture.overhead import RUNS, overhead
from regoal.benchmarks.torture.ray_kills import ray_kills
from regoal.benchmarks.torture.resets import resets
from regoal.benchmarks.torture.soak import soak
from regoal.benchmarks.torture.tally import Tally

# What is called with a folder and a number of tries, and how many there are; the soak takes seconds.
TESTS: dict[str, tuple[Callable[[Path, int], Tally], int]] = {
    "kill": (kills, 200),
    "resume": (chains, len(CHAINS)),
    "bit flips": (bit_flips, 1_000),
    "truncations": (truncations, 500),
    "malicious": (malicious, len(cases())),
    "faults": (faults, 1),
    "resets": (resets, 50),
    "checkpoint overhead": (overhead, len(RUNS)),
    "cells": (cell_kills, 40),
    "cells on ray": (ray_kills, 40),
    "smoke kills": (smoke_kills, 10),
    "soak": (soak, 1_800),
}


@dataclass(frozen=True)
class Row:
    """One test.

    Attributes:
        test: its name.
        tries: how often it was tried.
        failures: how often that went wrong.
        seconds: it took so long.
        commit: of the code; empty where there is none.
        note: a figure that belongs to it.
    """

    test: str
    tries: int
    failures: int
    seconds: float
    commit: str
    note: str


def main() -> int:
    """Run the tests one after the other and write torture.csv; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="regoal.benchmarks.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()), help="where to write")
    parser.add_argument("--only", nargs="+", choices=list(TESTS), default=list(TESTS), help="tests to run")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the tries")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = options.results / "torture.csv"
    rows: dict[str, Any] = {row["test"]: row for row in read_rows(path)} if path.exists() else {}
    failed = False
    for name in options.only:
        rows[name] = row = _row(name, options.scale)
        failed |= row.failures > 0
        print("  ".join(map(as_text, astuple(row))), flush=True)
        write_rows(path, Row, [rows[one] for one in TESTS if one in rows])
    return int(failed)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of torture.csv as the table in docs/trust.md."""
    lines = ["| test | tries | failures | seconds | what was found |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['test']} | {int(row['tries']):,} | {row['failures']} | {row['seconds']} | {row['note']} |"
        for row in rows
    ]
    return "\n".join(lines)


def _row(name: str, scale: float) -> Row:
    test, tries = TESTS[name]
    folder, began = Path(tempfile.mkdtemp(prefix="regoal-torture-")), time.monotonic()
    tally = test(folder, max(round(scale * tries), 1))
    seconds = time.monotonic() - began
    for failure in tally.failures:
        print(f"{name}: {failure}", file=sys.stderr)
    if tally.failures:
        print(f"{name}: see {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return Row(name, tally.tries, len(tally.failures), round(seconds, 1), _commit(), tally.note)


def _commit() -> str:
    here = Path(__file__).resolve().parent
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    sys.exit(main())

"""The folder of a benchmark: which suite it is of, what failed in it, and where its rows come from."""

import csv
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from regoal.agent.durable import read_plain
from regoal.agent.run_folder import MOST_CONFIG_BYTES
from regoal.benchmarks.grid import Suite
from regoal.benchmarks.staging import replace_text, staged
from regoal.benchmarks.suite import SUITES, load_suite, shipped
from regoal.benchmarks.tables import read_rows
from regoal.errors import BadInput

SUITE, FAILURES = "suite.toml", "failures.csv"


LOST_SOURCE = "its source"  # how the error of a cell begins that could not begin for want of one


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished; a row of failures.csv.

    Attributes:
        cell: its name.
        error: what went wrong the last time.
        attempts: how often it was begun or gone on with.
    """

    cell: str
    error: str
    attempts: int


def make_folder(suite: Suite, out: Path) -> None:
    """Make the folder of a benchmark, or see that it is one of the same suite.

    Raises:
        BadInput: something else is there, or the suite has changed.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = list(out.iterdir())
    except OSError as error:
        raise BadInput("out", "a folder that can be made", f"{out} ({error})") from error
    others = [path.name for path in there if not path.name.startswith(".")]
    if links := [path for path in there if path.is_symlink()]:
        raise BadInput(f"{links[0]}", "a folder or a file of its own", "a link", "Put a copy in its place.")
    if SUITE in others:
        require_same(suite, out)
    elif others:
        raise BadInput("out", "a new folder, or that of a benchmark", f"{out}, which holds {others[0]}")


def require_same(suite: Suite, out: Path) -> None:
    """That a benchmark was begun with this very suite.

    Raises:
        BadInput: it was not: what differs.
    """
    path = out / SUITE
    try:
        there = tomllib.loads(read_plain(path, MOST_CONFIG_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(str(path), "a readable TOML file", str(error)) from error
    different = list(_differences(there, suite.to_toml()))
    if different:
        fix = "Results of two suites are not one table: use another --out."
        raise BadInput(str(path), "the suite that it was begun with", "; ".join(different), fix)


def write_suite(suite: Suite, out: Path) -> None:
    """Write DIR/suite.toml, the suite with all that its file leaves out."""
    replace_text(out / SUITE, tomli_w.dumps(suite.to_toml()))


def read_failures(out: Path) -> dict[str, Failure]:
    """What failed so far, by the name of its cell."""
    path = out / FAILURES
    rows = read_rows(path) if path.exists() else []
    return {row["cell"]: Failure(row["cell"], row["error"], int(row["attempts"])) for row in rows}


def write_failures(out: Path, failures: Iterable[Failure]) -> None:
    """Write DIR/failures.csv; there is one where nothing failed, too."""
    with staged(out / FAILURES) as stage, stage.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Failure)])
        writer.writerows((one.cell, one.error, one.attempts) for one in failures)


def command_of(suite: Suite) -> str:
    """The command that makes the results of a suite; the same on all machines and for any number of jobs.

    A suite of one's own stands beside its results, as suite.toml.
    """
    ours = suite.name in shipped() and load_suite(SUITES / f"{suite.name}.toml") == suite
    return f"regoal benchmark {suite.name if ours else SUITE}"


def commit() -> str:
    """The commit of this package, with -dirty where files differ from it; its version where there is none.

    Results that were written since are no difference: they are what it made.
    """
    root = Path(__file__).resolve().parents[1]  # of the repository, where this is one
    if (root / ".git").exists():
        try:
            name = _git(root, "rev-parse", "--short=12", "HEAD")
            changed = _git(root, "status", "--porcelain", "-uno", "--", ".", ":!benchmarks/results")
            return f"{name}-dirty" if changed else name
        except (OSError, subprocess.CalledProcessError):
            pass
    return f"regoal-{version('regoal')}"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _differences(there: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for key in (*there, *(key for key in now if key not in there)):
        one, other = there.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _differences(one, other, f"{place}{key}.")
        elif one != other:
            yield f"{place}{key} was {one!r} and is {other!r}"

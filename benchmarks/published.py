"""Tables among the published results, while their runs are made anew: what is there is not lost."""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path

from regoal.agent.run_lock import RunLock
from regoal.benchmarks.benchmark import named
from regoal.benchmarks.cell_run import is_finished
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.results import COLUMNS, read_results
from regoal.benchmarks.staging import staged
from regoal.benchmarks.suite import load_suite

LEFT_AS_IT_IS = 3  # exit code where a published table has runs that the new one has not


def missing_runs(new: Path, published: Path) -> str:
    """What of a published table a new one does not have, for people; nothing where it can take its place.

    Args:
        new: results.csv of a benchmark.
        published: an earlier one of the same suite; it need not be there.
    """
    if not published.exists():
        return ""
    there, here = ({_key(row) for row in read_results(path).rows} for path in (published, new))
    if not there - here:
        return ""
    task, arm, seed = min(there - here)
    return (
        f"{len(there - here)} of its {len(there)} runs are not in {new}, such as {arm} in {task}, seed {seed}"
        f"; --known {published} takes over those with the same settings; run others first, or move it away"
    )


def replace_file(source: Path, target: Path) -> None:
    """Copy a file over a published one: whoever is stopped, or finds the disk full, leaves the former one."""
    with staged(target) as stage:
        shutil.copyfile(source, stage)


def of_others(suite: str, only: str, out: Path, results: Path) -> Path | None:
    """The published table of a suite without some of its cells, to go on from; None where nothing is left.

    Those cells are to be measured: where they were taken over before, as rows without a run, they are taken
    away.

    Args:
        suite: its name.
        only: text in the names of the cells.
        out: folder that the suite has its own one in.
        results: folder of what is published.

    Raises:
        BadInput: the published table is none, or the benchmark runs elsewhere.
    """
    table = results / f"{suite}.csv"
    if not table.exists():
        return None
    cells = cells_of(load_suite(suite), out / suite)
    wanted = named(cells, only)
    own = [cell for cell in cells if cell.columns and cell.name in wanted]
    taken = [cell for cell in own if is_finished(cell) and not (cell.path / "config.toml").exists()]
    if taken:
        with RunLock(out / suite):  # else a benchmark that runs there would miss them
            for cell in taken:
                shutil.rmtree(cell.path)
    keys = {_key(cell.columns) for cell in own}
    rows = [row for row in read_results(table).rows if _key(row) not in keys]
    if not rows:
        return None
    known = out / f".known-{suite}.csv"
    with known.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return known


def _key(row: Mapping[str, object]) -> tuple[str, str, str]:
    return str(row["task"]), str(row["arm"]), str(row["seed"])

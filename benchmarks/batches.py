"""Whether large batches at a lower update rate learn faster per second: FetchReach-v4 to 95 %.

    python -m regoal.benchmarks.batches --results benchmarks/results

An update of four times the batch costs less than four updates, but is one step instead of four. Every
setting is run for the same seeds, one run after the other, with one thread that learns.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from regoal.benchmarks.peers.sides import Side
from regoal.benchmarks.tables import read_rows, write_rows

SEEDS = (0, 1, 2, 3, 4)
MOST_STEPS = 3_000
EVAL_INTERVAL = 250
# batch size, updates for each env step; the first is what ships
SETTINGS = ((256, 0.5), (256, 0.25), (512, 0.25), (1024, 0.125), (256, 1.0))


@dataclass(frozen=True)
class Row:
    """One run. Seconds and steps are those of the first evaluation at 95 %, infinite if there was none."""

    agent: str
    batch_size: int
    updates_per_step: float
    seed: int
    seconds: float
    env_steps: float


def measure(agent: str, batch_size: int, updates_per_step: float, seed: int) -> Row:
    """One run in a process of its own."""
    settings: dict[str, Any] = {"batch_size": batch_size, "updates_per_step": updates_per_step}
    side = Side(
        "ours",
        "seconds_to_success",
        agent=agent,
        seed=seed,
        success=0.95,
        eval_interval=EVAL_INTERVAL,
        most_steps=MOST_STEPS,
        settings=settings,
    )
    seconds, steps = side.result() or (float("inf"), float("inf"))
    side.close()
    return Row(agent, batch_size, updates_per_step, seed, round(seconds, 2), steps)


def table(rows: list[dict[str, str]]) -> str:
    """Medians over the seeds, as they stand in docs/scale.md."""
    lines = ["| agent | batch | updates a step | seconds to 95 % | env steps |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["agent"], row["batch_size"], row["updates_per_step"]), []).append(row)
    for (agent, batch, updates), group in groups.items():
        seconds, steps = (
            statistics.median(float(row[key]) for row in group) for key in ("seconds", "env_steps")
        )
        lines.append(f"| {agent} | {batch} | {updates} | {seconds:.1f} | {steps:,.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and write batches.csv; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()), help="where to write")
    options = parser.parse_args()
    rows: list[Row] = []
    for agent in ("ddpg", "sac"):
        for seed in SEEDS:  # the settings take turns
            for batch_size, updates_per_step in SETTINGS:
                rows.append(measure(agent, batch_size, updates_per_step, seed))
                print(*astuple(rows[-1]), flush=True)
    rows.sort(key=lambda row: (row.agent, SETTINGS.index((row.batch_size, row.updates_per_step)), row.seed))
    path = options.results / "batches.csv"
    write_rows(path, Row, rows)
    print(table(read_rows(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

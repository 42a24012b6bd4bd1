"""How regoal's figures grow: with workers, with the buffer, with the network and with the batch.

    python -m regoal.benchmarks.scale --results benchmarks/results

docs/scale.md says what follows from it. Medians over the repetitions, one thread each.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from regoal.benchmarks.peers.sides import Side
from regoal.benchmarks.tables import as_text, read_rows, write_rows

REPETITIONS = 5
WORKERS = (1, 2)
BUFFERS = (10_000, 100_000, 1_000_000, 10_000_000)
WIDTHS = (64, 128, 256, 512, 1024)
BATCHES = (64, 256, 1024, 4096)
ENOUGH_SECONDS = 0.25  # of calls in each repetition


@dataclass(frozen=True)
class Point:
    """One measured point; what does not apply is 0."""

    measure: str
    workers: int
    buffer: int
    width: int
    batch: int
    figure: float
    unit: str


def median_seconds(side: Side) -> float:
    """Median over the repetitions, after one call to see how long it takes."""
    side.seconds(1)
    calls = max(int(ENOUGH_SECONDS / side.seconds(1)), 1)
    found = statistics.median(side.seconds(calls) for _ in range(REPETITIONS))
    side.close()
    return found


def points() -> Iterator[Point]:
    """All of them, one after the other."""
    for workers in WORKERS:
        seconds = median_seconds(Side("ours", "collect", workers=workers))
        yield Point("collecting FetchPush-v4", workers, 0, 0, 0, 2000 / seconds, "steps/s")
    for size in BUFFERS:
        for batch in (256, 2048):
            seconds = median_seconds(Side("ours", "her_sample", n_transitions=size, batch_size=batch))
            yield Point("HER sample", 0, size, 0, batch, 1e3 * seconds, "ms")
    for width in WIDTHS:
        for batch in BATCHES:
            seconds = median_seconds(Side("ours", "sac_update", batch_size=batch, width=width))
            yield Point("SAC update", 0, 0, width, batch, 1e3 * seconds, "ms")


def tables(rows: list[dict[str, str]]) -> str:
    """The rows of scale.csv as they stand in docs/scale.md."""

    def figure(**wanted: object) -> str:
        found = [row for row in rows if all(row[key] == str(value) for key, value in wanted.items())]
        return found[0]["figure"]

    lines = ["| workers | FetchPush-v4 steps/s |", "|---|---|"]
    lines += [f"| {n} | {figure(measure='collecting FetchPush-v4', workers=n)} |" for n in WORKERS]
    lines += ["", "| transitions | sample of 256 [ms] | sample of 2,048 [ms] |", "|---|---|---|"]
    for n in BUFFERS:
        both = [figure(measure="HER sample", buffer=n, batch=batch) for batch in (256, 2048)]
        lines.append(f"| {n:,} | {' | '.join(both)} |")
    lines += ["", f"| width \\ batch | {' | '.join(f'{batch:,}' for batch in BATCHES)} |"]
    lines += ["|---|" + "---|" * len(BATCHES)]
    for width in WIDTHS:
        row = [figure(measure="SAC update", width=width, batch=batch) for batch in BATCHES]
        lines.append(f"| 3 x {width:,} | {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and write scale.csv; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()), help="where to write")
    options = parser.parse_args()
    rows: list[Point] = []
    for point in points():
        rows.append(point)
        print("  ".join(map(as_text, astuple(point))), flush=True)
    write_rows(options.results / "scale.csv", Point, rows)
    print(f"\n{tables(read_rows(options.results / 'scale.csv'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast regoal is beside Stable-Baselines3, tianshou and TorchRL: `make bench`.

    python -m regoal.benchmarks.speed --results benchmarks/results [--only sample update ...]

Each pair is measured in turn in one run: both sides are built in processes of their own with one thread
each, and take turns repetition by repetition, so that what slows the machine slows both. Figures are
medians over the repetitions; ratios are medians of the ratios of each repetition, and more than 1 always
means that ours is better. `--only` measures some parts and leaves the rows of the others as they stand,
on the same machine with the same versions; elsewhere it writes those parts alone.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, astuple
from importlib.metadata import version
from pathlib import Path

from regoal.benchmarks.speed_parts import PARTS, PEERS, Row
from regoal.benchmarks.tables import as_text, read_rows, write_rows

# Those that the README shows, where they are against another library or a loop without us.
HEADLINES = (
    "HER sample, batch 256, buffer 1,000,000",
    "SAC update, 3 x 256, batch 256",
    "playing FetchPush-v4, one process",
    "collecting FetchPush-v4, 2 workers",
    "memory of a transition, FetchPush",
    "FetchReach-v4 to 95 %, DDPG",
    "FetchReach-v4 to 95 %, SAC",
)
OWN_BOUNDS = ("limit", "its matrix products alone")


def headlines(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of speed.csv that the README shows; docs/scale.md shows all."""
    return [row for row in rows if row["measure"] in HEADLINES and row["peer"] not in OWN_BOUNDS]


def table(rows: list[dict[str, str]]) -> str:
    """Rows of speed.csv as they stand in the README and in docs/scale.md."""
    lines = ["| measure | ours | against | theirs | ratio | target |", "|---|---|---|---|---|---|"]
    for row in rows:
        unit = row["unit"]
        target = f"≥ {row['target']}" if row["target"] else ""
        lines.append(
            f"| {row['measure']} | {row['ours']} {unit} | {row['peer']} | {row['theirs']} {unit} "
            f"| {row['ratio']} | {target} |"
        )
    return "\n".join(lines)


def conditions() -> dict[str, str]:
    """Versions and machine that the figures hold for."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    packages = ("torch", "numpy", "mujoco", "gymnasium-robotics", *PEERS.values())
    found = {name: version(name) for name in packages}
    return {"cpu": model, "cores": str(os.cpu_count()), "python": platform.python_version()} | found


def write_results(folder: Path, rows: list[Row], afresh: bool) -> None:
    """Write speed.csv and speed.json.

    Args:
        folder: where.
        rows: what was measured.
        afresh: leave nothing of what the files said; otherwise rows that were not measured now stay in
            their places, if they hold for the same machine and versions.
    """
    path, conditions_path = folder / "speed.csv", folder / "speed.json"
    texts = [{key: as_text(value) for key, value in asdict(row).items()} for row in rows]
    if (
        not afresh
        and path.exists()
        and conditions_path.exists()
        and json.loads(conditions_path.read_text()) == conditions()
    ):
        found = {(row["measure"], row["peer"]): row for row in read_rows(path)}
        texts = list((found | {(row["measure"], row["peer"]): row for row in texts}).values())
    write_rows(path, Row, texts)
    conditions_path.write_text(json.dumps(conditions(), indent=1) + "\n")


def main() -> int:
    """Measure and write speed.csv and speed.json; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()), help="where to write")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    options = parser.parse_args()
    conditions()  # what is not installed is told now
    rows: list[Row] = []
    for part in options.only:
        for row in PARTS[part]():
            rows.append(row)
            print("  ".join(map(as_text, astuple(row))), flush=True)
        write_results(options.results, rows, afresh=False)  # whatever becomes of the others
    if set(options.only) == set(PARTS):
        write_results(options.results, rows, afresh=True)
    print(f"\n{table(read_rows(options.results / 'speed.csv'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What each ingredient is worth: the arms of a suite beside its baseline, as a table for a guide.

    regoal benchmark push-ablation --out runs/push-ablation
    python -m regoal.benchmarks.ablation runs/push-ablation

Minutes are those of runs that went side by side: they compare with each other alone.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from regoal.benchmarks.curves import Curve, up_to
from regoal.benchmarks.report_data import Findings, read_findings
from regoal.benchmarks.report_scores import THRESHOLDS, Arm, Table, mean_success
from regoal.benchmarks.report_text import difference, headline, number, steps
from regoal.benchmarks.results import Results
from regoal.benchmarks.statistics import Floats
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, BadInput

COUNTED_TO = 0.8  # of success: most variants get there within the suite's steps, and none at once


def table(found: Findings) -> str:
    """Arms with all their seeds, or what is finished of them, in the order of the suite."""
    compared = {one.name: difference(one.verdict) for one in found.comparisons}
    baseline = found.baseline or "the baseline"
    lines = [
        f"| arm | success at the end | over the first half | over the run | beside {baseline} "
        f"| steps to {COUNTED_TO} | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in found.overall:
        soon = steps(arm.steps[THRESHOLDS.index(COUNTED_TO)], arm.one_budget)
        early = f"{first_half(found, arm):.2f}"
        cells = (arm.name, number(arm.final), early, number(arm.area), compared.get(arm.name, ""), soon)
        lines.append(
            f"| {' | '.join(cells)} | {minutes(found.results, arm.name):.1f} |".replace("\u00a0", " ")
        )
    return "\n".join(lines)


def first_half(found: Findings, arm: Arm) -> float:
    """Mean success of an arm over the first half of the steps that all arms of a task have."""
    table = Table(found.results, found.curves, found.failures)

    def early(task: str) -> Callable[[Curve], Floats]:
        return lambda curve: mean_success(up_to(curve, table.shared_steps(task) / 2))

    return float(np.mean([table.scores(arm.name, [task], arm.seeds, early(task)) for task in found.tasks]))


def minutes(results: Results, arm: str) -> float:
    """Mean wall clock of the runs of an arm, evaluations and checkpoints included."""
    last = {
        (row["task"], row["seed"]): float(row["wall_seconds"]) for row in results.rows if row["arm"] == arm
    }
    return float(np.mean(list(last.values()))) / 60


def main() -> int:
    """Print the table of a benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the benchmark")
    options = parser.parse_args()
    try:
        found = read_findings(options.folder)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    if not found.overall:
        print("no arm has a seed that is finished in every task", file=sys.stderr)
        return EXIT_FAILED
    print(f"{table(found)}\n\n{headline(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

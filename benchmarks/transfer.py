"""What hindsight fine-tuning is worth, target by target, beside starting from scratch and without hindsight.

    regoal benchmark transfer-levels --out runs/transfer-levels
    python -m regoal.benchmarks.transfer runs/transfer-levels --results benchmarks/results

and so with transfer-push, or any suite that has its arms; what is written is called as the suite.

In each target one threshold serves all arms: 0.9 of the final success of scratch with hindsight. An arm got
there where three evaluations in a row are at it. All evaluations of a seed play the same episodes.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regoal.benchmarks.curves import Curve, draw_panels
from regoal.benchmarks.measures import (
    Reached,
    dip,
    final_success,
    last_told,
    reached,
    steps_to_threshold,
    zero_shot,
)
from regoal.benchmarks.published import LEFT_AS_IT_IS, missing_runs, replace_file
from regoal.benchmarks.results import RESULTS, Results, read_results
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, BadInput

TUNED, WITHOUT, SCRATCH = "future-warm_start", "none-warm_start", "future-scratch"
LABELS = {
    TUNED: "fine-tuning with HER",
    WITHOUT: "fine-tuning without HER",
    SCRATCH: "scratch with HER",
}
SHARE_OF_FINAL = 0.9
HOLD = 3  # evaluations in a row


@dataclass(frozen=True)
class Comparison:
    """The arms in one target.

    Attributes:
        zero_shot: mean success of the sources.
        threshold: success to be reached.
        steps: how soon each arm got there, by its name.
        dip: how far the mean curve of fine-tuning with hindsight falls below `zero_shot` at most.
        dip_of_a_run: how far a run of it falls below where it began, the median over runs.
    """

    zero_shot: float
    threshold: float
    steps: dict[str, Reached]
    dip: float
    dip_of_a_run: float

    @property
    def share_of_scratch(self) -> str:
        """Steps of fine-tuning for each step of scratch, both with hindsight (medians).

        Where more than half of the scratch runs did not get there it is less than what is said; where more
        than half of the fine-tuned ones did not, or scratch was there before it learned or has too few
        evaluations to tell, there is nothing to say.
        """
        tuned, scratch = self.steps[TUNED], self.steps[SCRATCH]
        if not math.isfinite(tuned.median) or 0 in (scratch.median, scratch.last_step):
            return ""
        if not math.isfinite(scratch.median) and tuned.median > 0:
            return f"< {math.ceil(100 * tuned.median / scratch.last_step) / 100:.2f}"
        return f"{tuned.median / scratch.median:.2f}"


def compare(curves: dict[str, Curve]) -> Comparison:
    """Put the arms in one target side by side."""
    threshold = SHARE_OF_FINAL * float(final_success(curves[SCRATCH]).mean())
    mean = curves[TUNED].success.mean(axis=0)
    # Nobody gets to what scratch has not shown to be there.
    goal = threshold if threshold > 0 else math.inf
    return Comparison(
        zero_shot=float(zero_shot(curves[TUNED]).mean()),
        threshold=threshold,
        steps={
            arm: reached(steps_to_threshold(curve, goal, HOLD), last_told(curve.steps, HOLD))
            for arm, curve in curves.items()
        },
        dip=float(mean[0] - mean.min()),
        dip_of_a_run=float(np.median(dip(curves[TUNED]))),
    )


def curves_of(results: Results) -> dict[str, dict[str, Curve]]:
    """The curves of the three arms, task by task, of the tasks in which all their runs are finished."""
    return {
        task: {arm: results.curve(task, arm) for arm in LABELS}
        for task in results.tasks
        if all(sorted(results.seeds_of(task, arm)) == sorted(results.seeds) for arm in LABELS)
    }


def table(results: Results) -> str:
    """Results as the table in docs/finetuning.md."""
    lines = [
        "| target | zero-shot | threshold | fine-tuning with HER | fine-tuning without HER "
        "| scratch with HER | share of scratch | dip (of a run) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, curves in curves_of(results).items():
        found = compare(curves)
        steps = " | ".join(str(found.steps[arm]) for arm in LABELS)
        lines.append(
            f"| `{task.partition(' ')[2]}` | {found.zero_shot:.2f} | {found.threshold:.2f} | {steps} "
            f"| {found.share_of_scratch} | {found.dip:.2f} ({found.dip_of_a_run:.2f}) |"
        )
    return "\n".join(lines)


def others_table(results: Results) -> str:
    """What the suite's other arms did beside fine-tuning with hindsight, for docs; empty if it has none.

    Of each arm in each target, whose threshold is that of `compare`: how soon it is there, and its end.
    """
    whole = curves_of(results)
    others = [arm for arm in results.arms if arm not in LABELS and _learns(results, arm)]
    if not others:
        return ""
    arms = (TUNED, *others)
    lines = [f"| target | {' | '.join(arms)} |", "|---" * (1 + len(arms)) + "|"]
    for task, curves in whole.items():
        found = {arm: results.curve(task, arm) for arm in arms if results.seeds_of(task, arm)}
        steps = compare(curves | found).steps
        cells = (
            f"{steps[arm]}, ends at {final_success(found[arm]).mean():.2f}" if arm in found else ""
            for arm in arms
        )
        lines.append(f"| `{task.partition(' ')[2]}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _learns(results: Results, arm: str) -> bool:
    return any(row["zero_shot"] == "0" for row in results.rows if row["arm"] == arm)


def _begun_targets(published: Path, curves: Mapping[str, object]) -> str:
    """What of a published table would no longer be shown, for people: a seed that is begun hides a target."""
    if not published.exists():
        return ""
    hidden = [task for task in curves_of(read_results(published)) if task not in curves]
    return f"not all runs in {hidden[0]} are finished; go on with the benchmark first" if hidden else ""


def main() -> int:
    """Write table and picture of a finished benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the benchmark")
    parser.add_argument("--results", type=Path, required=True, help="folder for the CSV and the picture")
    options = parser.parse_args()
    try:
        results = read_results(options.folder / RESULTS)
        if not results.rows:
            fix = "Run the benchmark first, or go on with it."
            raise BadInput("folder", "a benchmark with finished runs", str(options.folder), fix)
        csv = options.results / f"{results.rows[0]['suite']}.csv"
        curves = curves_of(results)
        missing = missing_runs(options.folder / RESULTS, csv) or _begun_targets(csv, curves)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    for task in results.tasks:
        if task not in curves:
            print(f"not all runs in {task} are finished: left out", file=sys.stderr)
    if curves:
        print(table(results))
        if others := others_table(results):
            print(f"\n{others}")
    if missing:
        print(f"{csv} stays as it is: {missing}", file=sys.stderr)
        return LEFT_AS_IT_IS
    if not curves:
        return EXIT_FAILED
    options.results.mkdir(parents=True, exist_ok=True)
    replace_file(options.folder / RESULTS, csv)
    draw_panels(
        csv.with_suffix(".png"),
        {task: {LABELS[arm]: curve for arm, curve in arms.items()} for task, arms in curves.items()},
        f"Success in shifted targets, mean of {len(results.seeds)} seeds, 95 % bootstrap intervals",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

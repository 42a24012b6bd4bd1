"""What hindsight fine-tuning is worth, target by target, beside starting from scratch and without hindsight.

    python -m regoal.benchmarks.transfer reach --out runs/transfer --results benchmarks/results

In each target one threshold serves all arms: 0.9 of the final success of scratch with hindsight. An arm got
there where three evaluations in a row are at it. All evaluations of a seed play the same episodes.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regoal.agent.machine import cores
from regoal.benchmarks.curves import Curve, draw_panels
from regoal.benchmarks.experiment import Arm, Experiment, read_arm, run_experiment
from regoal.benchmarks.measures import Reached, final_success, reached, steps_to, zero_shot
from regoal.benchmarks.parallel import next_free
from regoal.benchmarks.tables import read_rows, write_rows

SCRATCH, TUNED, WITHOUT = Arm("scratch"), Arm("warm_start"), Arm("warm_start", "none")
LABELS = {
    TUNED.name: "fine-tuning with HER",
    WITHOUT.name: "fine-tuning without HER",
    SCRATCH.name: "scratch with HER",
}
SHARE_OF_FINAL = 0.9
HOLD = 3  # evaluations in a row

EXPERIMENTS = {
    "reach": Experiment(
        env="FetchReach-v4",
        shifts=(
            "action_rotation=75",
            "action_rotation=90",
            "action_bias=0.7",
            "action_bias=0.8",
            "observation_bias=0.009",
            "observation_bias=0.02",
        ),
        arms=(TUNED, WITHOUT, SCRATCH),
        seeds=(0, 1, 2, 3, 4),
        source_steps=2_500,
        steps=2_000,
        eval_interval=100,
        eval_episodes=50,
    ),
}


@dataclass(frozen=True)
class Row:
    """One evaluation of one run."""

    env: str
    shift: str
    arm: str
    seed: int
    env_steps: int
    success: float


@dataclass(frozen=True)
class Comparison:
    """The arms in one target.

    Attributes:
        shift: the target.
        zero_shot: mean success of the sources.
        threshold: success to be reached.
        steps: how soon each arm got there, by its name.
        dip: how far the mean curve of fine-tuning with hindsight falls below `zero_shot` at most.
    """

    shift: str
    zero_shot: float
    threshold: float
    steps: dict[str, Reached]
    dip: float

    @property
    def share_of_scratch(self) -> float:
        """Steps of fine-tuning for each step of scratch, both with hindsight (medians)."""
        return self.steps[TUNED.name].median / self.steps[SCRATCH.name].median


def compare(shift: str, curves: dict[str, Curve]) -> Comparison:
    """Put the arms in one target side by side."""
    threshold = SHARE_OF_FINAL * float(final_success(curves[SCRATCH.name]).mean())
    tuned = curves[TUNED.name]
    mean = tuned.success.mean(axis=0)
    return Comparison(
        shift=shift,
        zero_shot=float(zero_shot(tuned).mean()),
        threshold=threshold,
        steps={
            name: reached(
                [steps_to(threshold, curve.steps, success, HOLD) for success in curve.success],
                float(curve.steps[-1]),
            )
            for name, curve in curves.items()
        },
        dip=float(mean[0] - mean.min()),
    )


def rows_of(env: str, shift: str, arm: str, curve: Curve, seeds: Sequence[int]) -> Iterator[Row]:
    """A curve as rows of a CSV."""
    for seed, success in zip(seeds, curve.success, strict=True):
        for step, value in zip(curve.steps, success, strict=True):
            yield Row(env, shift, arm, seed, int(step), float(value))


def read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    """The curves in a CSV, target by target and arm by arm."""
    runs: dict[str, dict[str, dict[str, list[tuple[int, float]]]]] = {}
    for row in read_rows(path):
        arm = runs.setdefault(row["shift"], {}).setdefault(row["arm"], {})
        arm.setdefault(row["seed"], []).append((int(row["env_steps"]), float(row["success"])))
    found: dict[str, dict[str, Curve]] = {}
    for shift, arms in runs.items():
        tables = {name: np.array(list(seeds.values())) for name, seeds in arms.items()}  # (runs, points, 2)
        found[shift] = {name: Curve(table[0, :, 0], table[:, :, 1]) for name, table in tables.items()}
    return found


def table(path: Path) -> str:
    """A CSV of curves as the table in docs/finetuning.md."""
    lines = [
        "| target | zero-shot | threshold | fine-tuning with HER | fine-tuning without HER "
        "| scratch with HER | share of scratch | dip |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for shift, curves in read_curves(path).items():
        found = compare(shift, curves)
        steps = [found.steps[arm.name] for arm in (TUNED, WITHOUT, SCRATCH)]
        share = found.share_of_scratch
        lines.append(
            f"| `{shift}` | {found.zero_shot:.2f} | {found.threshold:.2f} | "
            + " | ".join(str(one) for one in steps)
            + f" | {f'{share:.2f}' if math.isfinite(share) else ''} | {found.dip:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run an experiment; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--jobs", type=int, default=cores(), help="runs at a time")
    parser.add_argument("--results", type=Path, help="folder for the table and the plot; OUT if not given")
    options = parser.parse_args()
    name, experiment, out = options.experiment, EXPERIMENTS[options.experiment], next_free(options.out)
    run_experiment(experiment, out, options.jobs)
    found = {
        shift: {arm.name: read_arm(out, shift, arm, experiment.seeds) for arm in experiment.arms}
        for shift in experiment.shifts
    }
    csv = (options.results or out) / f"transfer-{name}.csv"
    rows = [
        row
        for shift, curves in found.items()
        for arm, curve in curves.items()
        for row in rows_of(experiment.env, shift, arm, curve, experiment.seeds)
    ]
    write_rows(csv, Row, rows)
    draw_panels(
        csv.with_suffix(".png"),
        {shift: {LABELS[arm]: curve for arm, curve in curves.items()} for shift, curves in found.items()},
        f"{experiment.env} under shift, mean of {len(experiment.seeds)} seeds, 95 % bootstrap intervals",
    )
    print(table(csv))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What transfer is measured by, each figure defined once; docs/measures.md has them in a table.

A measure gives one value a run, so that an interval over runs can be taken afterwards. Arms are paired by
seed: run k of an arm and run k of scratch belong together.

Sources: Taylor and Stone 2009 (JMLR 10, section 2) for jumpstart, total reward, transfer ratio, asymptotic
performance and time to threshold; what has no source there is defined here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regoal.benchmarks.curves import Curve
from regoal.benchmarks.statistics import DUST
from regoal.benchmarks.tables import write_rows
from regoal.errors import BadInput

Floats = NDArray[np.float64]

HOLD = 2  # evaluations in a row: a single good one may be luck
FINAL_EVALUATIONS = 3


def zero_shot(curve: Curve) -> Floats:
    """(runs,) success of the first evaluation, which comes before any update.

    For an arm that starts from the source's networks that is the source policy in the target; for one
    that starts from fresh networks, chance.
    """
    return np.asarray(curve.success[:, 0], np.float64)


def jumpstart(curve: Curve, scratch: Curve) -> Floats:
    """(runs,) first success minus that of scratch (Taylor and Stone 2009).

    Raises:
        BadInput: the arms cannot be paired.
    """
    _require_pairs(curve, scratch)
    return zero_shot(curve) - zero_shot(scratch)


def area(curve: Curve) -> Floats:
    """(runs,) area under the curve (trapezoids) divided by its span in steps: mean success, in [0, 1].

    Taylor and Stone's total reward, on success instead of reward. Only areas over the same span compare.

    Raises:
        BadInput: fewer than two evaluations.
    """
    if len(curve.steps) < 2:
        raise BadInput("curve", "two evaluations or more", str(len(curve.steps)), "Evaluate more often.")
    span = float(curve.steps[-1] - curve.steps[0])
    return np.asarray(np.trapezoid(curve.success, curve.steps, axis=1) / span, np.float64)


def final_success(curve: Curve, last: int = FINAL_EVALUATIONS) -> Floats:
    """(runs,) mean success of the last evaluations; of all where there are fewer than `last`.

    A policy flickers from one update to the next, and three evaluations even that out; more would reach
    back to when it was still learning. All evaluations of a run play the same episodes, so the choice of
    episodes is not evened out: that is what several seeds are for. It stands for Taylor and Stone's
    asymptotic performance, which no run of finite length shows.
    """
    return np.asarray(curve.success[:, -last:].mean(axis=1), np.float64)


def steps_to(threshold: float, steps: ArrayLike, success: ArrayLike, hold: int = 1) -> float:
    """First number of steps from which `hold` evaluations in a row reach the threshold; inf if none do.

    Taylor and Stone's time to threshold, of one run: `steps` and `success` are (points,).
    """
    reached = np.asarray(success) >= threshold - DUST
    for index in range(len(reached) - hold + 1):
        if reached[index : index + hold].all():
            return float(np.asarray(steps)[index])
    return math.inf


def steps_to_threshold(curve: Curve, threshold: float, hold: int = HOLD) -> Floats:
    """(runs,) steps by which each run is at the threshold for `hold` evaluations, inf where it never is.

    `reached` puts them together: the median, and the share of runs that got there.
    """
    return np.array([steps_to(threshold, curve.steps, success, hold) for success in curve.success])


def last_told(steps: ArrayLike, hold: int = HOLD) -> float:
    """The last of the evaluations (points,) that a run could be told to be there from.

    That takes `hold` in a row: of a run that is at the threshold in the last `hold` - 1 alone nothing is
    known but that it takes more steps than this.
    """
    points = np.asarray(steps, np.float64)
    return float(points[-min(hold, len(points))])


@dataclass(frozen=True)
class Reached:
    """How soon several runs got somewhere, when some of them did not within the steps they had.

    Attributes:
        runs: how many there are.
        got_there: how many of them did.
        median: steps by which half of the runs or more had got there; inf where fewer than half did. A
            run that did not counts as later than all that did, which is all that is known of it; a mean
            would have to make up a number for it.
        last_step: of a run that is not counted as there, it is known that it takes more than these steps.
    """

    runs: int
    got_there: int
    median: float
    last_step: float

    @property
    def share(self) -> float:
        """Share of runs that got there."""
        return self.got_there / self.runs

    def __str__(self) -> str:
        steps = f"{self.median:,.0f}" if math.isfinite(self.median) else f"> {self.last_step:,.0f}"
        return f"{steps} ({self.got_there} of {self.runs} runs)"


def reached(steps: ArrayLike, last_step: float) -> Reached:
    """Put together the steps (runs,) that runs took to get somewhere, inf for those that did not."""
    ordered = np.sort(np.asarray(steps, np.float64))
    middle = math.ceil(len(ordered) / 2) - 1
    return Reached(len(ordered), int(np.isfinite(ordered).sum()), float(ordered[middle]), float(last_step))


def dip(curve: Curve) -> Floats:
    """(runs,) how far success falls below its first value at most, in [0, 1]; 0 where it never does.

    The least of many noisy evaluations lies below the true course, so a small dip is no proof of one:
    compare arms with each other, not with 0.
    """
    return np.asarray(curve.success[:, 0] - curve.success.min(axis=1), np.float64)


def steps_to_recover(curve: Curve, hold: int = HOLD) -> Floats:
    """(runs,) steps from the first evaluation below the first value until `hold` in a row are back at it.

    0 where it never fell below; inf where it was not back before the run ended. A later dip is not
    counted again.
    """
    return np.array([_steps_to_recover(curve.steps, success, hold) for success in curve.success])


def _steps_to_recover(steps: NDArray[np.float64], success: NDArray[np.float64], hold: int) -> float:
    below = np.flatnonzero(success < success[0])
    if len(below) == 0:
        return 0.0
    fell = below[0]
    return steps_to(success[0], steps[fell:], success[fell:], hold) - float(steps[fell])


def transfer_ratio(areas: ArrayLike, scratch_areas: ArrayLike) -> Floats:
    """(area - scratch area) / scratch area, element by element (Taylor and Stone 2009); 1 is twice the area.

    Given (runs,) areas it is paired by seed. Where scratch never succeeded the ratio is inf, and nan where
    the arm did not either: nothing can be said of nothing. One such seed decides the mean over seeds, so
    for a figure over all seeds give it the mean areas.
    """
    own, theirs = np.asarray(areas, np.float64), np.asarray(scratch_areas, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((own - theirs) / theirs, np.float64)


def kept_on_source(tuned: ArrayLike, source: ArrayLike) -> Floats:
    """(runs,) success of fine-tuned policies in the source env, as a share of the source policies' there.

    1 is nothing forgotten; above 1, it became better at its old task. nan where the source policy never
    succeeded: there was nothing to keep.
    """
    after, before = np.asarray(tuned, np.float64), np.asarray(source, np.float64)
    shares = np.full(np.broadcast_shapes(after.shape, before.shape), np.nan)
    np.divide(after, before, out=shares, where=before > 0)
    return shares


@dataclass(frozen=True)
class Measures:
    """All measures of one run of an arm; a row of a CSV. Steps are inf where it did not get there.

    Attributes:
        arm: its label.
        seed: of the run.
        last_step: the last evaluation [env steps]; what inf steps are more than, `last_told` says.
        kept_on_source: None where nobody played in the source env.
    """

    arm: str
    seed: int
    last_step: float
    zero_shot: float
    jumpstart: float
    auc: float
    final_success: float
    steps_to_50: float
    steps_to_80: float
    steps_to_90: float
    dip: float
    steps_to_recover: float
    transfer_ratio: float
    kept_on_source: float | None


def measure(
    arm: str,
    curve: Curve,
    scratch: Curve,
    *,
    seeds: Sequence[int] | None = None,
    kept: ArrayLike | None = None,
    hold: int = HOLD,
) -> list[Measures]:
    """Every measure of every run of an arm.

    Args:
        arm: label of the arm.
        curve: the arm.
        scratch: from scratch in the same target; run k has the seed of the arm's run k.
        seeds: (runs,) seeds; 0, 1 ... if not given.
        kept: (runs,) what `kept_on_source` found, if somebody looked.
        hold: evaluations in a row that count as having got there.

    Raises:
        BadInput: the arms cannot be paired, or were evaluated fewer than two times.
    """
    starts = jumpstart(curve, scratch)
    areas = area(curve)
    ratios = transfer_ratio(areas, area(scratch))
    finals, dips, recovered = final_success(curve), dip(curve), steps_to_recover(curve, hold)
    shares = None if kept is None else np.asarray(kept, np.float64)
    return [
        Measures(
            arm=arm,
            seed=run if seeds is None else seeds[run],
            last_step=float(curve.steps[-1]),
            zero_shot=float(success[0]),
            jumpstart=float(starts[run]),
            auc=float(areas[run]),
            final_success=float(finals[run]),
            steps_to_50=steps_to(0.5, curve.steps, success, hold),
            steps_to_80=steps_to(0.8, curve.steps, success, hold),
            steps_to_90=steps_to(0.9, curve.steps, success, hold),
            dip=float(dips[run]),
            steps_to_recover=float(recovered[run]),
            transfer_ratio=float(ratios[run]),
            kept_on_source=None if shares is None else float(shares[run]),
        )
        for run, success in enumerate(curve.success)
    ]


def column(rows: Sequence[Measures], name: str) -> Floats:
    """One measure of all runs, (runs,): what an interval over runs is taken of."""
    return np.array([getattr(row, name) for row in rows], np.float64)


def write_measures(path: Path, rows: Iterable[Measures]) -> None:
    """Write a CSV, a row a run."""
    write_rows(path, Measures, [_as_written(row) for row in rows])


def _as_written(row: Measures) -> dict[str, object]:
    """Steps in full, inf where it did not get there: four digits of them would name another evaluation."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {
        name: f"{value:.0f}" if name.startswith("steps_") or name == "last_step" else value
        for name, value in values.items()
    }


def _require_pairs(curve: Curve, scratch: Curve) -> None:
    (runs, first, last), expected = _extent(curve), _extent(scratch)
    if (runs, first, last) != expected:
        raise BadInput(
            "curve",
            "the runs and the span of scratch, {} over steps {} to {}".format(*expected),
            f"{runs} over steps {first} to {last}",
            "Arms are compared seed by seed, over the same steps.",
        )


def _extent(curve: Curve) -> tuple[int, int, int]:
    return len(curve.success), int(curve.steps[0]), int(curve.steps[-1])

"""Steps to a threshold, which some runs never reach: of one arm, and of two arms side by side."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regoal.benchmarks.comparisons import require_pairs
from regoal.benchmarks.curves import Curve
from regoal.benchmarks.measures import HOLD, steps_to
from regoal.benchmarks.statistics import Floats
from regoal.errors import BadInput


def steps_to_threshold(curve: Curve, threshold: float, hold: int = HOLD) -> Floats:
    """(runs,) steps by which each run is at the threshold for `hold` evaluations, inf where it never is.

    `measures.reached` puts them together: the median, and the share of runs that got there.
    """
    return np.array([steps_to(threshold, curve.steps, success, hold) for success in curve.success])


@dataclass(frozen=True)
class Order:
    """Which of two paired arms got to a threshold first, in how many pairs.

    Attributes:
        earlier: x got there in fewer steps, or x alone did.
        later: y did.
        together: both did, at the same evaluation.
        neither: none did; which would have been first is not known.
    """

    earlier: int
    later: int
    together: int
    neither: int

    @property
    def pairs(self) -> int:
        """How many there are."""
        return self.earlier + self.later + self.together + self.neither

    @property
    def p(self) -> float:
        """Two-sided p of the sign test: how often fair coins would be as lopsided, those in order alone."""
        decided, fewer = self.earlier + self.later, min(self.earlier, self.later)
        tail = sum(math.comb(decided, won) for won in range(fewer + 1))
        return min(2.0 * tail / 2.0**decided, 1.0)

    def __str__(self) -> str:
        return (
            f"earlier in {self.earlier} of {self.pairs} pairs, later in {self.later}, at the same evaluation "
            f"in {self.together}, neither there in {self.neither} (sign test p = {self.p:.2g})"
        )


def compare_steps(x: ArrayLike, y: ArrayLike, last_step: float) -> Order:
    """Compare the steps to a threshold, pair by pair, without making up any for runs that did not get there.

    A run that did not comes after all that did. That is all that is used of it, so it needs no number.

    Args:
        x: (seeds,) or (seeds, tasks) steps, inf for a run that did not get there. The sign test takes all
            pairs for independent: give one task at a time where a seed's runs share a source.
        y: the same of the other arm, paired with x.
        last_step: the last evaluation that both arms had. What one arm reached later counts as not
            reached: the other had no chance to.

    Raises:
        BadInput: the arms cannot be paired.
    """
    own, theirs = np.asarray(x, np.float64), np.asarray(y, np.float64)
    require_pairs(own, theirs)
    if np.isnan(own).any() or np.isnan(theirs).any():
        raise BadInput("steps", "steps, inf for runs that did not get there", "nan")
    own, theirs = (np.where(steps <= last_step, steps, np.inf) for steps in (own, theirs))
    return Order(
        earlier=int((own < theirs).sum()),
        later=int((own > theirs).sum()),
        together=int(((own == theirs) & np.isfinite(own)).sum()),
        neither=int((np.isinf(own) & np.isinf(theirs)).sum()),
    )

"""Two arms side by side, seed by seed: run k of one and run k of the other belong together.

Whether a seed's runs in several tasks are one piece of evidence or several depends on what they share.
Runs fine-tuned from one source are one (`whole_seeds=True`, the cautious default): a source that happens
to be good raises them all. So are runs from scratch in several shifts of one env, or in envs of one kind:
their seed gives them the same first weights, noise and goals. Runs in other envs, which only have the number
of their seed in common, are several.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regoal.benchmarks.statistics import (
    DUST,
    Floats,
    as_scores,
    mean,
    stratified_bootstrap,
    wilson_interval,
)
from regoal.errors import BadInput

LEVEL = 0.05  # chance of a claim where there is no difference
ALL_FLIPS = 14  # up to so many pairs all 2^n flips are tried, above it `FLIPS` random ones
FLIPS = 20_000


def probability_of_improvement(
    x: ArrayLike, y: ArrayLike, *, whole_seeds: bool = True
) -> tuple[float, float, float]:
    """Chance that a run of x scores more than the run of y with the same seed, averaged over tasks.

    Agarwal 2021 (arXiv 2108.13264, section 4.3), a tie counting half, but for the pairs: there every run
    of x meets every run of y of its task (Mann and Whitney's U), here only the one of its own seed.

    The interval is Wilson's over the pairs (over seeds, for `whole_seeds`). A bootstrap of five wins out of
    five is [1, 1] and so claims to be sure; Wilson's is [0.57, 1]. Where tasks differ, or ties and
    `whole_seeds` make the variance smaller than that of coins, it is wider than it had to be.

    Args:
        x: (seeds, tasks) scores; more is better.
        y: (seeds, tasks), paired with x.
        whole_seeds: a seed's runs share a source.

    Returns:
        The probability, and the bounds of its 95 % interval.

    Raises:
        BadInput: the arms cannot be paired, or scores that are not finite.
    """
    won = (np.sign(_differences(x, y)) + 1) / 2  # (seeds, tasks) of 0, 0.5 and 1
    probability = float(won.mean())
    trials = won.shape[0] if whole_seeds else won.size
    return probability, *wilson_interval(probability * trials, trials)


def sign_flip_test(differences: ArrayLike, rng: np.random.Generator) -> float:
    """Two-sided p of the mean of paired differences: how often random signs give one as far from 0.

    Fisher's randomisation test for pairs (The Design of Experiments, 1935, section 21). It supposes only
    that, were the arms equal, each difference were as likely to have the other sign. Of n pairs that differ
    the least p is 2 / 2^n, whatever the differences.

    Args:
        differences: (pairs,) independent of each other.
        rng: draws the signs where there are too many to try all.

    Returns:
        p in (0, 1].
    """
    array = np.asarray(differences, np.float64)
    array = array[array != 0]  # a 0 is the same with either sign
    count = len(array)
    if count <= ALL_FLIPS:
        signs = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # (flips, pairs), a row a flip
    else:
        signs = rng.integers(0, 2, (FLIPS, count))
    sums = np.abs((2 * signs - 1) @ array)
    as_far = sums >= abs(array.sum()) - DUST * np.abs(array).sum()
    if count <= ALL_FLIPS:
        return float(as_far.mean())
    return float((1 + as_far.sum()) / (1 + FLIPS))  # what was seen is one of the flips, so p is never 0


@dataclass(frozen=True)
class Verdict:
    """Whether two paired arms may be said to differ; as text, a sentence that says so.

    Attributes:
        pairs: independent pairs: seeds, or runs where these are independent between tasks.
        differing: those whose scores are not the same; only they tell anything.
        difference: mean of x - y.
        low, high: its 95 % interval; nan from one seed.
        p: of the sign flip test.
        level: what p must not exceed.
    """

    pairs: int
    differing: int
    difference: float
    low: float
    high: float
    p: float
    level: float

    @property
    def least_p(self) -> float:
        """The p there would be, did all pairs that differ point the same way."""
        return min(2.0 / 2.0**self.differing, 1.0)

    @property
    def too_few(self) -> bool:
        """So few pairs differ that nothing can be claimed, however large the difference."""
        return self.least_p > self.level

    @property
    def needed(self) -> int:
        """Fewest pairs that must differ before anything can be claimed."""
        return math.ceil(math.log2(2 / self.level))

    @property
    def claim(self) -> bool:
        """The arms differ: the test says so, and the interval leaves out 0."""
        return self.p <= self.level and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{self.low:+.2f}, {self.high:+.2f}]"
        measured = f"mean difference {self.difference:+.2f}{interval}, p = {self.p:.2g}"
        if self.too_few:
            few = "seeds" if self.differing == self.pairs else "pairs that differ"
            return (
                f"Too few {few} to claim a difference: {self.differing} of {self.pairs} pairs differ, so p "
                f"cannot be below {self.least_p:.2g}, and {self.needed} must for p <= {self.level:.2g} "
                f"({measured})."
            )
        if not self.claim:
            return f"No difference can be claimed from {self.pairs} pairs: {measured}."
        return f"A difference, over {self.pairs} pairs: {measured}."


def enough_seeds(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    whole_seeds: bool = True,
    comparisons: int = 1,
) -> Verdict:
    """Judge whether these seeds are enough to claim that two paired arms differ.

    Both must agree: the sign flip test, which is exact for any number of seeds but with fewer than six can
    say nothing, and the bootstrap interval, which shows how large the difference is but is too narrow for
    few seeds.

    Args:
        x: (seeds, tasks) scores.
        y: (seeds, tasks), paired with x.
        rng: draws signs and resamples.
        whole_seeds: a seed's runs share a source: then each seed counts once, by its mean over tasks.
        comparisons: how many arms are compared with the same baseline. The level is divided by it
            (Bonferroni), for among many equal arms one looks better by luck.

    Raises:
        BadInput: the arms cannot be paired, or scores that are not finite.
    """
    pairs = _differences(x, y, whole_seeds)
    low, high = stratified_bootstrap(pairs, mean, rng)
    return Verdict(
        pairs=pairs.size,
        differing=int(np.count_nonzero(pairs)),
        difference=float(pairs.mean()),
        low=float(low),
        high=float(high),
        p=sign_flip_test(pairs.ravel(), rng),
        level=LEVEL / comparisons,
    )


def _require_pairs(x: Floats, y: Floats) -> None:
    """Raise BadInput where two arms do not have the same seeds and tasks."""
    if x.shape != y.shape:
        raise BadInput(
            "arms",
            f"as many seeds and tasks as the other arm, {x.shape}",
            str(y.shape),
            "Arms are compared seed by seed: leave out seeds that one of them does not have.",
        )


def _differences(x: ArrayLike, y: ArrayLike, whole_seeds: bool = False) -> Floats:
    """(seeds, tasks), or (seeds, 1) means over tasks, of x - y; exactly 0 where only rounding differs."""
    own, theirs = as_scores(x, "x"), as_scores(y, "y")
    _require_pairs(own, theirs)
    differences = own - theirs
    if whole_seeds:
        differences = differences.mean(axis=1, keepdims=True)
    dust = DUST * max(np.abs(own).max(), np.abs(theirs).max())
    return np.where(np.abs(differences) > dust, differences, 0.0)

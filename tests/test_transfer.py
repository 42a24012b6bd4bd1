"""The table that says what hindsight fine-tuning is worth, on curves made by hand."""

import math

import numpy as np

from regoal.benchmarks.curves import Curve
from regoal.benchmarks.grid import arms_of
from regoal.benchmarks.suite import load_suite
from regoal.benchmarks.transfer import LABELS, SCRATCH, TUNED, WITHOUT, compare

STEPS = np.arange(0, 700, 100)


def _curve(*runs: list[float]) -> Curve:
    return Curve(STEPS, np.array(runs))


def test_one_threshold_serves_all_arms_and_is_held_for_three_evaluations() -> None:
    found = compare(
        {
            TUNED: _curve([0.3, 0.2, 0.8, 0.9, 0.9, 1.0, 1.0], [0.5, 0.5, 0.8, 0.6, 0.8, 0.8, 0.8]),
            WITHOUT: _curve([0.3, 0.3, 0.3, 0.3, 0.8, 0.8, 0.8], [0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9]),
            SCRATCH: _curve([0.0, 0.0, 0.0, 0.5, 0.8, 0.8, 0.8], [0.0, 0.0, 0.7, 0.8, 0.8, 0.8, 0.8]),
        }
    )
    assert found.zero_shot == 0.4
    assert math.isclose(found.threshold, 0.9 * 0.8)
    # 0.8, then 0.6: that was not yet it. The last two evaluations alone are too few.
    assert [found.steps[arm].median for arm in (TUNED, WITHOUT, SCRATCH)] == [200, 400, 300]
    assert [found.steps[arm].got_there for arm in (TUNED, WITHOUT, SCRATCH)] == [2, 1, 2]
    assert math.isclose(found.share_of_scratch, 200 / 300)
    # The mean curve: 0.4, then 0.35.
    assert math.isclose(found.dip, 0.05)


def test_the_shipped_suite_has_the_arms_of_the_table() -> None:
    assert {arm.name for arm in arms_of(load_suite("transfer-levels"))} == set(LABELS)

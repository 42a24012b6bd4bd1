"""Steps to a threshold that some runs never reach: by hand, beside scipy, and without invented numbers."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from regoal.benchmarks.curves import Curve
from regoal.benchmarks.measures import reached
from regoal.benchmarks.steps import Order, compare_steps, steps_to_threshold
from regoal.errors import BadInput

NEVER = math.inf
some_steps = st.lists(st.tuples(*[st.sampled_from([100.0, 200.0, 300.0, NEVER])] * 2), min_size=1, max_size=9)


def test_steps_to_a_threshold_are_censored_run_by_run() -> None:
    curve = Curve(np.array([0, 100, 200, 300]), np.array([[0, 0.9, 0.5, 0.9], [0, 0.9, 0.9, 0.1]]))
    np.testing.assert_array_equal(steps_to_threshold(curve, 0.9), [NEVER, 100])
    np.testing.assert_array_equal(steps_to_threshold(curve, 0.9, hold=1), [100, 100])
    assert str(reached(steps_to_threshold(curve, 0.9), 300)) == "100 (1 of 2 runs)"


def test_steps_are_compared_by_hand() -> None:
    #     earlier, later, together, earlier (it alone got there), later, neither
    x = [100, 300, 200, 400, NEVER, NEVER]
    y = [200, 200, 200, NEVER, 400, NEVER]
    order = compare_steps(x, y, 400)
    assert order == Order(earlier=2, later=2, together=1, neither=1)
    # Of 5 in order, 5 to 0: 2 * 1 / 32; 4 to 1: 2 * (1 + 5) / 32.
    assert Order(5, 0, 2, 1).p == 2 / 32
    assert Order(1, 4, 0, 0).p == 12 / 32
    assert Order(0, 0, 3, 2).p == 1
    assert str(Order(4, 0, 1, 0)) == (
        "earlier in 4 of 5 pairs, later in 0, at the same evaluation in 1, neither there in 0 "
        "(sign test p = 0.12)"
    )


def test_what_the_other_arm_had_no_chance_to_do_does_not_count() -> None:
    # y was trained for 300 steps alone: x getting there at 400 is no proof that it is the later one.
    assert compare_steps([400], [NEVER], 300) == Order(0, 0, 0, 1)
    assert compare_steps([300], [NEVER], 300) == Order(1, 0, 0, 0)


@given(some_steps, st.floats(301, 1e6))
def test_a_run_that_did_not_get_there_may_have_any_number_after_the_last_step(
    pairs: list[tuple[float, float]], invented: float
) -> None:
    x, y = np.array(pairs).T
    order = compare_steps(x, y, 300)
    assert order == compare_steps(np.where(np.isinf(x), invented, x), y, 300)
    wins = sum(one < other for one, other in pairs)
    losses = sum(one > other for one, other in pairs)
    ties = sum(one == other for one, other in pairs)
    assert (order.earlier, order.later, order.together + order.neither) == (wins, losses, ties)
    assert order.neither == pairs.count((NEVER, NEVER))
    assert order.pairs == len(pairs)
    assert compare_steps(y, x, 300) == Order(order.later, order.earlier, order.together, order.neither)


def test_the_sign_test_is_scipys_binomial_test() -> None:
    for earlier, later in itertools.product(range(8), repeat=2):
        if earlier + later:
            expected = scipy.stats.binomtest(earlier, earlier + later).pvalue
            assert Order(earlier, later, 3, 2).p == pytest.approx(expected)


def test_steps_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(BadInput, match="leave out seeds"):
        compare_steps([100, 200], [100], 300)
    with pytest.raises(BadInput, match="got nan"):
        compare_steps([100, math.nan], [100, 200], 300)

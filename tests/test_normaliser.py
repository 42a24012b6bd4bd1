"""Running statistics and what becomes of them on transfer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regoal.agent.normaliser import Normaliser
from regoal.agent.running_statistics import RunningStatistics


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 1_000))
def test_batch_by_batch_equals_all_at_once(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [100 + 7 * rng.standard_normal((n, 3)) for n in sizes]
    running = RunningStatistics(3, least_std=0.0)
    for rows in batches:
        running.update(rows)
    together = np.concatenate(batches)
    np.testing.assert_allclose(running.mean, together.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(running.std, together.std(axis=0), rtol=1e-6, atol=1e-9)


def test_before_anything_is_seen_inputs_pass_unchanged() -> None:
    normaliser = Normaliser(2, 1)
    np.testing.assert_array_equal(normaliser.mean, [0, 0, 0])
    np.testing.assert_array_equal(normaliser.std, [1, 1, 1])


def test_a_constant_feature_is_not_blown_up() -> None:
    normaliser = Normaliser(1, 1)
    normaliser.update(np.full((10, 1), 3.0), np.zeros((10, 1)))
    assert normaliser.std.min() == pytest.approx(0.01)


def fed(mode: str) -> Normaliser:
    source = Normaliser(1, 1)
    source.update(np.array([[0.0], [2.0]]), np.array([[0.0], [2.0]]))
    target = Normaliser(1, 1, mode)
    target.load_state(source.state())
    return target


@pytest.mark.parametrize(
    ("mode", "mean", "count"), [("freeze", 1.0, 2), ("continue", 5.5, 4), ("refit", 10.0, 2)]
)
def test_modes_on_transfer(mode: str, mean: float, count: int) -> None:
    normaliser = fed(mode)
    np.testing.assert_allclose(normaliser.mean, [1.0, 1.0])  # the source's until the first rows come
    new = np.array([[9.0], [11.0]])
    normaliser.update(new, new)
    np.testing.assert_allclose(normaliser.mean, [mean, mean])
    assert normaliser.observation.count == count


def test_refit_starts_anew_once_only() -> None:
    normaliser = fed("refit")
    for value in (9.0, 11.0):
        normaliser.update(np.array([[value]]), np.array([[value]]))
    np.testing.assert_allclose(normaliser.mean, [10.0, 10.0])

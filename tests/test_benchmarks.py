"""Statistics by hand, runs side by side, and the README's numbers."""

import csv
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from regoal.benchmarks import demo
from regoal.benchmarks.parallel import run_all
from regoal.benchmarks.statistics import bootstrap_interval, steps_to, wilson_interval

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def test_wilson_interval_by_hand() -> None:
    # 8 of 10: centre (0.8 + 0.19207) / 1.38415, half 1.95996 / 1.38415 * sqrt(0.016 + 0.0096036)
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)
    assert wilson_interval(0, 100)[0] == pytest.approx(0.0, abs=1e-12)
    assert wilson_interval(100, 100)[1] == pytest.approx(1.0)


def test_bootstrap_interval_of_equal_runs_is_a_point_and_is_seeded() -> None:
    low, high = bootstrap_interval(np.full((5, 3), 0.7), np.random.default_rng(0))
    np.testing.assert_allclose(low, 0.7)
    np.testing.assert_allclose(high, 0.7)
    runs = np.random.default_rng(1).random((6, 4))
    one = bootstrap_interval(runs, np.random.default_rng(2))
    other = bootstrap_interval(runs, np.random.default_rng(2))
    np.testing.assert_array_equal(one, other)
    assert (one[0] <= runs.mean(axis=0)).all()
    assert (runs.mean(axis=0) <= one[1]).all()


def test_bootstrap_interval_has_the_width_that_theory_says() -> None:
    runs = np.random.default_rng(0).standard_normal((400, 1))
    low, high = bootstrap_interval(runs, np.random.default_rng(1), resamples=5_000)
    assert (high - low)[0] == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.1)


def test_steps_to_a_threshold_must_hold() -> None:
    steps = np.array([0, 100, 200, 300, 400])
    success = np.array([0.0, 0.9, 0.5, 0.9, 1.0])
    assert steps_to(0.9, steps, success) == 100
    assert steps_to(0.9, steps, success, hold=2) == 300
    assert steps_to(0.95, steps, success, hold=2) == math.inf


def square(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x * x


def interrupt_parent(x: int) -> int:
    if x == 0:
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(0.5)
    return x


def test_calls_run_side_by_side_and_a_failure_stands_in_its_place() -> None:
    results = run_all(square, [1, 2, 3, 4], jobs=2)
    assert results[:2] == [1, 4]
    assert isinstance(results[2], ValueError)
    assert results[3] == 16


def test_after_ctrl_c_nothing_new_is_begun() -> None:
    results = run_all(interrupt_parent, [0, 1, 2], jobs=1)
    assert results[0] == 0
    assert all(isinstance(result, KeyboardInterrupt) for result in results[1:])


def test_the_readme_shows_the_table_of_the_committed_csv() -> None:
    assert demo.make_table(demo.read_csv(RESULTS / "demo.csv")) in (ROOT / "README.md").read_text()


def test_the_committed_demo_says_what_we_claim() -> None:
    curves = demo.read_csv(RESULTS / "demo.csv")
    assert curves[demo.FINETUNE_HER].success[:, 0].mean() < 0.5  # zero-shot: the shift breaks the source
    reached = {
        arm: np.median([steps_to(0.9, curve.steps, one, hold=2) for one in curve.success])
        for arm, curve in curves.items()
    }
    assert reached[demo.FINETUNE_HER] <= reached[demo.SCRATCH_HER] / 2
    assert reached[demo.FINETUNE_HER] <= reached[demo.FINETUNE_NONE]
    assert reached[demo.SCRATCH_NONE] == math.inf


def test_the_readme_tells_the_committed_reach_results() -> None:
    with (RESULTS / "reach.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    text = (ROOT / "README.md").read_text()
    for agent, name in (("ddpg", "DDPG"), ("sac", "SAC")):
        mine = [row for row in rows if row["agent"] == agent]
        assert len(mine) == 5
        worst = min(float(row["success"]) for row in mine)
        seconds = np.median([float(row["wall_seconds"]) for row in mine])
        steps = int(mine[0]["env_steps"])
        assert f"{name} {worst:.2f} in the worst seed after {steps:,} steps and {seconds:.0f} s" in text

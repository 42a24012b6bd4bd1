"""Each measure of transfer on curves small enough to work out by hand."""

import csv
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regoal.benchmarks import measures
from regoal.benchmarks.curves import Curve, read_curve, up_to
from regoal.benchmarks.measures import (
    Measures,
    column,
    measure,
    reached,
    steps_to,
    steps_to_threshold,
    write_measures,
)
from regoal.errors import BadInput

NEVER = math.inf


def _curve(*success: list[float], every: int = 100) -> Curve:
    array = np.array(success, np.float64)
    return Curve(np.arange(array.shape[1]) * every, array)


TUNED = _curve([0.4, 0.2, 0.4, 0.8, 1.0], [0.0, 0.0, 0.6, 0.6, 0.6])
SCRATCH = _curve([0.0, 0.0, 0.2, 0.4, 0.8], [0.2, 0.0, 0.0, 0.0, 0.0])


def test_zero_shot_and_jumpstart_are_differences_of_first_points_seed_by_seed() -> None:
    np.testing.assert_allclose(measures.zero_shot(TUNED), [0.4, 0.0])
    np.testing.assert_allclose(measures.jumpstart(TUNED, SCRATCH), [0.4, -0.2])


def test_the_area_is_the_mean_height_whatever_the_unit_of_steps() -> None:
    # Trapezoids of the first run: (0.3 + 0.3 + 0.6 + 0.9) / 4; of the second: (0 + 0.3 + 0.6 + 0.6) / 4.
    np.testing.assert_allclose(measures.area(TUNED), [0.525, 0.375])
    np.testing.assert_allclose(measures.area(Curve(TUNED.steps * 7 + 1000, TUNED.success)), [0.525, 0.375])
    np.testing.assert_allclose(measures.area(_curve([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])), [1.0, 0.0])


def test_the_area_weighs_evaluations_by_the_steps_between_them() -> None:
    uneven = Curve(np.array([0, 100, 400]), np.array([[0.0, 1.0, 1.0]]))
    np.testing.assert_allclose(measures.area(uneven), [(0.5 * 100 + 1.0 * 300) / 400])


def test_a_curve_is_cut_on_the_line_between_two_evaluations() -> None:
    cut = up_to(Curve(np.array([0, 200, 400]), np.array([[0.0, 0.4, 0.8], [0.2, 0.2, 0.0]])), 300)
    np.testing.assert_allclose(cut.steps, [0, 200, 300])
    np.testing.assert_allclose(cut.success, [[0.0, 0.4, 0.6], [0.2, 0.2, 0.1]])
    whole = up_to(TUNED, 1_000)
    np.testing.assert_array_equal(whole.steps, TUNED.steps)


def test_final_success_is_the_mean_of_the_last_three_evaluations() -> None:
    np.testing.assert_allclose(measures.final_success(TUNED), [2.2 / 3, 0.6])
    np.testing.assert_allclose(measures.final_success(_curve([0.2, 0.6])), [0.4])


def test_the_steps_to_a_threshold_need_evaluations_in_a_row() -> None:
    steps, success = np.array([0, 100, 200, 300, 400]), np.array([0.0, 0.9, 0.5, 0.9, 1.0])
    assert [steps_to(0.9, steps, success, hold) for hold in (1, 2, 3)] == [100, 300, NEVER]
    assert steps_to(0.0, steps, success, hold=2) == 0


def test_the_median_of_censored_steps_is_the_time_by_which_half_of_the_runs_got_there() -> None:
    most = reached([300, NEVER, 100, 200], last_step=1_000)
    assert (most.share, most.median, str(most)) == (0.75, 200, "200 (3 of 4 runs)")
    half = reached([NEVER, 100, 12_300, NEVER], last_step=20_000)
    assert (half.share, half.median, str(half)) == (0.5, 12_300, "12,300 (2 of 4 runs)")
    few = reached([NEVER, 100, NEVER], last_step=20_000)
    assert (few.got_there, few.median, str(few)) == (1, NEVER, "> 20,000 (1 of 3 runs)")


def test_a_dip_is_measured_from_the_first_value_down() -> None:
    np.testing.assert_allclose(measures.dip(TUNED), [0.2, 0.0])
    np.testing.assert_allclose(measures.dip(_curve([0.5, 0.9, 0.1, 0.3])), [0.4])


def test_steps_to_recover_run_from_the_first_fall_to_the_first_lasting_return() -> None:
    found = measures.steps_to_recover(
        _curve(
            [0.5, 0.4, 0.2, 0.5, 0.6, 0.6],  # falls at 100, is back at 300
            [0.5, 0.9, 0.4, 0.5, 0.4, 0.5],  # falls at 200, is never back for two evaluations
            [0.5, 0.5, 0.6, 0.7, 0.7, 0.7],  # never falls
            [0.5, 0.1, 0.5, 0.1, 0.8, 0.8],  # one good evaluation at 200 does not count
            [0.5, 0.5, 0.5, 0.5, 0.4, 0.5],  # back for the last evaluation alone: nobody knows if to stay
        )
    )
    np.testing.assert_array_equal(found, [200, NEVER, 0, 300, NEVER])
    np.testing.assert_array_equal(measures.steps_to_recover(_curve([0.5, 0.4, 0.5]), hold=1), [100])


def test_the_transfer_ratio_is_paired_and_says_when_it_has_nothing_to_divide_by() -> None:
    # Areas from scratch: (0 + 0.1 + 0.3 + 0.6) / 4 and 0.1 / 4.
    ratios = measures.transfer_ratio(measures.area(TUNED), measures.area(SCRATCH))
    np.testing.assert_allclose(ratios, [0.525 / 0.25 - 1, 0.375 / 0.025 - 1])
    found = measures.transfer_ratio([0.5, 0.0, 0.0, 0.3], [0.0, 0.0, 0.5, 0.3])
    np.testing.assert_array_equal(found, [math.inf, math.nan, -1.0, 0.0])
    # Over seeds: of mean areas, where the mean of the four ratios is no number.
    assert measures.transfer_ratio(0.2, 0.16) == pytest.approx(0.25)


def test_what_is_kept_on_the_source_is_a_share_of_what_was_there() -> None:
    found = measures.kept_on_source([0.5, 1.0, 0.3, 0.0], [1.0, 0.8, 0.0, 0.0])
    np.testing.assert_allclose(found, [0.5, 1.25, math.nan, math.nan])


def test_all_measures_of_an_arm_stand_in_one_row_a_run() -> None:
    rows = measure("warm_start", TUNED, SCRATCH, seeds=[3, 5], kept=[0.9, 1.0])
    assert rows[0] == Measures(
        arm="warm_start",
        seed=3,
        last_step=400.0,
        zero_shot=0.4,
        jumpstart=0.4,
        auc=pytest.approx(0.525),
        final_success=pytest.approx(2.2 / 3),
        steps_to_50=300.0,
        steps_to_80=300.0,
        steps_to_90=NEVER,
        dip=0.2,
        steps_to_recover=100.0,
        transfer_ratio=pytest.approx(1.1),
        kept_on_source=0.9,
    )
    np.testing.assert_array_equal(column(rows, "steps_to_50"), [300, 200])
    itself = measure("scratch", SCRATCH, SCRATCH)
    np.testing.assert_array_equal(column(itself, "jumpstart"), [0, 0])
    np.testing.assert_array_equal(column(itself, "transfer_ratio"), [0, 0])
    assert [row.kept_on_source for row in itself] == [None, None]


def test_the_csv_keeps_steps_in_full_and_says_inf_where_a_run_did_not_get_there(tmp_path: Path) -> None:
    curve = Curve(np.array([0, 123_456, 234_567]), np.array([[0.0, 0.9, 0.9]]))
    write_measures(tmp_path / "measures.csv", measure("naive", curve, curve))
    with (tmp_path / "measures.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["steps_to_90"], row["last_step"]) == ("123456", "234567")
    assert (row["steps_to_recover"], row["kept_on_source"]) == ("0", "")
    write_measures(tmp_path / "measures.csv", measure("naive", SCRATCH, SCRATCH))
    with (tmp_path / "measures.csv").open(newline="") as file:
        assert [row["steps_to_50"] for row in csv.DictReader(file)] == ["inf", "inf"]


def test_curves_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(BadInput, match="2 over steps 0 to 400"):
        measure("naive", _curve([0.1] * 5), SCRATCH)
    with pytest.raises(BadInput, match="span"):
        measures.jumpstart(_curve([0.1] * 4, [0.1] * 4), SCRATCH)
    with pytest.raises(BadInput, match="two evaluations"):
        measures.area(_curve([0.1]))


def test_the_guide_defines_every_column() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "measures.md").read_text()
    assert all(f"`{field.name}`" in guide for field in fields(Measures))
    assert f"last {measures.FINAL_EVALUATIONS} evaluations" in guide
    assert f"first of {measures.HOLD} evaluations in a row" in guide


def test_the_guides_lines_read_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for arm, last in (("tuned", 1.0), ("scratch", 0.5)):
        for seed in (0, 1):
            run = tmp_path / "runs" / arm / f"seed-{seed}"
            run.mkdir(parents=True)
            (run / "metrics.csv").write_text(f"env_steps,success\n0,0\n100,{last}\n200,{last}\n")
    monkeypatch.chdir(tmp_path)
    guide = (Path(__file__).parents[1] / "docs" / "measures.md").read_text()
    exec(guide.split("```python")[1].split("```")[0], {})  # noqa: S102  (our own guide)
    assert capsys.readouterr().out.splitlines() == ["0 0.75 100.0 1.0", "1 0.75 100.0 1.0"]
    with pytest.raises(BadInput, match="run folders with a metrics"):
        read_curve([tmp_path / "nowhere"])


def test_steps_to_a_threshold_are_censored_run_by_run() -> None:
    curve = Curve(np.array([0, 100, 200, 300]), np.array([[0, 0.9, 0.5, 0.9], [0, 0.9, 0.9, 0.1]]))
    np.testing.assert_array_equal(steps_to_threshold(curve, 0.9), [math.inf, 100])
    np.testing.assert_array_equal(steps_to_threshold(curve, 0.9, hold=1), [100, 100])
    assert str(reached(steps_to_threshold(curve, 0.9), 300)) == "100 (1 of 2 runs)"


def test_a_share_of_a_mean_that_rounding_has_raised_is_reached_by_its_like() -> None:
    threshold = 0.9 * float(np.mean([0.8, 0.8, 0.8]))
    assert threshold > 0.72  # by the last bit
    assert steps_to(threshold, [0, 100], [0.5, 0.72]) == 100
    assert steps_to(threshold, [0, 100], [0.5, 0.7199]) == math.inf

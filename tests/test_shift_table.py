"""Where transfer breaks: worlds in processes, the table of levels, the sweep and what it proposes."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made_runs import POINT, SIDEWAYS, STEERS, hand_made_run, one_by_one

from regoal.benchmarks import shift_sweep, shift_table, worlds
from regoal.benchmarks.shift_proposal import Proposal, as_text, propose
from regoal.benchmarks.shift_table import measure_levels, read_table, table_path, write_table
from regoal.benchmarks.statistics import wilson_interval
from regoal.cli import main
from regoal.envs import Effect, register_shift
from regoal.envs.shift import Term
from regoal.envs.shift_families import FAMILIES, list_families
from regoal.envs.shift_levels import LEVELS
from regoal.errors import BadInput, EnvFault

FEW = ["reward_threshold", "action_delay"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "run_all", one_by_one)


@pytest.fixture
def few_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift_table, "families_for", lambda env: FEW)
    monkeypatch.setitem(LEVELS["PointReach"], "action_delay", (1, 2, 4))


@pytest.fixture
def nothing_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "run_all", lambda *args, **kwargs: pytest.fail("played"))


@pytest.mark.usefixtures("here", "few_families")
def test_the_table_of_levels_shows_where_transfer_breaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [hand_made_run(tmp_path / "steers"), hand_made_run(tmp_path / "sideways", SIDEWAYS)]
    rows = measure_levels(runs, POINT, episodes=10, jobs=2)
    shown = capfd.readouterr().err
    assert "playing 10 worlds of regoal/PointReach-v0, 10 episodes each by 2 policies" in shown
    assert "1/10 no shift: success" in shown
    assert [(row.family, row.level) for row in rows] == [
        ("none", ""),
        *((family, level) for family in (*FEW, "combined") for level in ("mild", "medium", "hard")),
    ]
    by_shift = {row.shift: row for row in rows}
    plain, delayed = by_shift[""], by_shift["action_delay=4"]
    assert (plain.episodes, plain.runs, plain.lost_points) == (20, 2, 0.0)
    assert 0.5 <= plain.success <= 0.7  # one of the two reaches every goal, the other few
    assert delayed.success <= 0.25
    assert delayed.lost_points == pytest.approx(100 * (plain.success - delayed.success))
    assert (delayed.value, delayed.level) == (4, "hard")
    assert (plain.low, plain.high) == wilson_interval(round(plain.success * 20), 20)
    combined = rows[-1]
    assert combined.value is None
    assert combined.shift.count("=") > 1


@pytest.mark.usefixtures("few_families")
def test_numbers_do_not_depend_on_who_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [hand_made_run(tmp_path / f"seed-{seed}", weight) for seed, weight in ((0, STEERS), (1, SIDEWAYS))]
    monkeypatch.setattr(shift_table, "families_for", lambda env: FEW[:1])
    side_by_side = measure_levels(runs, POINT, episodes=7, jobs=2)
    monkeypatch.setattr(worlds, "run_all", one_by_one)
    assert measure_levels([tmp_path], POINT, episodes=7) == side_by_side


def test_each_run_plays_episodes_of_its_own_and_the_same_in_every_world(tmp_path: Path) -> None:
    twins = [hand_made_run(tmp_path / name, SIDEWAYS) for name in ("a", "b")]
    sources = worlds.load_players(twins, 20, seed=0, jobs=1)
    alone = [worlds.play_world(worlds.worlds_of(sources[:1], [""], 20, seed)[0]) for seed in range(4)]
    assert len(set(alone)) > 1
    for seed in range(3):
        (pooled,) = worlds.worlds_of(sources, [""], 20, seed)
        assert worlds.play_world(pooled) == alone[seed] + alone[seed + 1]


@pytest.mark.usefixtures("here", "few_families")
def test_a_family_without_levels_is_listed_with_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LEVELS["PointReach"], FEW[0], None)
    rows = measure_levels([hand_made_run(tmp_path / "run")], POINT, episodes=3)
    (none,) = [row for row in rows if row.family == FEW[0]]
    assert (none.level, none.success, none.episodes) == ("no effect", None, 0)
    lines = shift_table.as_text(rows).splitlines()
    assert lines[0].split() == ["mild", "medium", "hard"]
    assert lines[1].startswith("none              1.00")
    assert lines[2].split() == [FEW[0], "no", "effect"]
    assert "4: 0.00 [0.00, 0.56] -100" in lines[3]
    assert "3 episodes a world, 1 run." in lines[-1]
    first, picture = write_table(tmp_path / "results", rows)
    assert first == table_path(tmp_path / "results", POINT) == tmp_path / "results" / "shifts-PointReach.csv"
    assert shift_table.as_text(read_table(first)) == shift_table.as_text(rows)
    before = picture.read_bytes()
    assert before[:4] == b"\x89PNG"
    shift_table.draw_table(picture, rows)
    assert picture.read_bytes() == before


@pytest.mark.usefixtures("here", "few_families")
def test_a_family_that_nobody_chose_levels_for_is_not_said_to_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = register_shift("calm", Effect)
    monkeypatch.setattr(shift_table, "families_for", lambda env: [calm])
    rows = measure_levels([hand_made_run(tmp_path / "run")], POINT, episodes=3)
    del FAMILIES[calm]
    (none,) = [row for row in rows if row.family == calm]
    assert (none.level, none.success) == ("no levels chosen", None)
    assert shift_table.as_text(rows).splitlines()[2].split() == [calm, "no", "levels", "chosen"]


def test_the_table_of_another_env_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    umaze, medium = "PointMaze_UMaze-v3", "PointMaze_Medium-v3"
    row = shift_table.Row(umaze, "none", "", None, "", 0.9, 0.8, 1.0, 0.0, 10, 1)
    (path, _) = write_table(tmp_path, [row])
    before = path.read_bytes()
    assert main(["shifts", medium, "--policy", "point-maze", "--out", str(tmp_path)]) == 2
    assert f"expected a table of {medium}, got one of {umaze}" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.usefixtures("nothing_played")
def test_what_cannot_be_measured_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    run = hand_made_run(tmp_path / "run")
    larger = hand_made_run(tmp_path / "larger", np.zeros((2, 9)))
    for runs, env, message in (
        ([tmp_path / "nowhere"], POINT, "nowhere"),
        ([run], "FetchReach-v4", "run env: expected FetchReach-v4, got regoal/PointReach-v0"),
        ([larger], POINT, "larger observation size"),
        ([run, run], POINT, "each run once"),
    ):
        with pytest.raises(BadInput, match=message):
            measure_levels(runs, env, episodes=3)
    with pytest.raises(BadInput, match="jobs"):
        measure_levels([run], POINT, episodes=3, jobs=0)
    with pytest.raises(BadInput, match="episodes"):
        shift_sweep.sweep([run], episodes=0)
    with pytest.raises(BadInput, match="Did you mean action_gain"):
        shift_sweep.sweep([run], ["action_gian"])
    with pytest.raises(BadInput, match="object_mass"):
        shift_sweep.sweep([run], ["object_mass"])


@pytest.mark.usefixtures("here")
def test_a_sweep_plays_the_figures_that_the_env_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        shift_sweep, "GRIDS", {"goal_region": (0.5, 1.2, 4), "action_rotation": (30, 120, 180)}
    )
    run = hand_made_run(tmp_path / "run")
    results = tmp_path / "results"
    monkeypatch.setattr(
        sys, "argv", ["shift_sweep", "--policy", str(run), "--results", str(results), "--episodes", "4"]
    )
    assert shift_sweep.main() == 0
    shown = capsys.readouterr()
    assert '"goal_region": None,  # no effect: costs 0 points at most' in shown.out
    assert "observation_noise: no grid" in shown.err
    rows = shift_sweep.read_sweep(results / "shift-sweep-PointReach.csv")
    # 1.5 is the greatest region that lies within the walls.
    assert [(row.family, row.value) for row in rows] == [
        ("none", None),
        *(("goal_region", value) for value in (0.5, 1.2, 1.5)),
        *(("action_rotation", value) for value in (30, 120, 180)),
    ]
    assert [row.success for row in rows] == [1, 1, 1, 1, 1, 0, 0]
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--families", "goal_region"])
    assert shift_sweep.main() == 0  # the other family stays, since the policy is the same
    again = shift_sweep.read_sweep(results / "shift-sweep-PointReach.csv")
    assert again == rows
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--seed", "5", "--episodes", "3"])
    assert shift_sweep.main() == 0
    families = {row.family for row in shift_sweep.read_sweep(results / "shift-sweep-PointReach.csv")}
    assert families == {"none", "goal_region"}
    path = results / "shift-sweep-PointReach.csv"
    path.write_text("what,else\n1,2\n")
    with pytest.raises(BadInput, match=f"expected a table of {POINT}, got one of something else"):
        shift_sweep.main()
    assert path.read_text() == "what,else\n1,2\n"


def test_a_world_that_breaks_is_left_out_of_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shift_sweep, "GRIDS", {"action_rotation": (30, 90)})
    run = hand_made_run(tmp_path / "run")

    def breaks(function: object, items: Sequence[Any], jobs: int, label: object) -> list[Any]:
        return [2, EnvFault("world", "finite numbers", "nan"), 1]

    monkeypatch.setattr(worlds, "run_all", breaks)
    rows = shift_sweep.sweep([run], ["action_rotation"], episodes=2)
    assert [(row.value, row.success) for row in rows] == [(None, 1.0), (90, 0.5)]
    assert "1 worlds broke" in capsys.readouterr().err
    monkeypatch.setattr(worlds, "run_all", lambda *args, **kwargs: [2, KeyboardInterrupt("not begun"), 1])
    with pytest.raises(KeyboardInterrupt):
        shift_sweep.sweep([run], ["action_rotation"], episodes=2)


def test_every_family_has_a_grid_of_values_that_it_takes() -> None:
    for family in list_families():
        if family.module:
            continue
        grid = shift_sweep.GRIDS[family.name]
        assert family.identity not in grid
        for value in grid:
            Term(family.name, (value,))
        assert sum(value > family.identity for value in grid) >= 3 or family.name == "reward_threshold"
        if family.unit == "factor":
            assert any(value < family.identity for value in grid)


def test_levels_are_the_figures_whose_costs_come_nearest_to_10_40_and_70_points() -> None:
    # Costs 2, 12, 25, 38, 66, 90 points below 1; at most 30 above it.
    success = {0.8: 0.93, 0.6: 0.83, 0.4: 0.70, 0.3: 0.57, 0.2: 0.29, 0.1: 0.05, 2.0: 0.85, 5.0: 0.65}
    found = propose(0.95, success, identity=1.0)
    assert found.values == (0.6, 0.3, 0.2)
    assert found.lost_points == pytest.approx((12, 38, 66))
    assert found.note == ""


def test_the_side_that_costs_more_gives_the_levels() -> None:
    success = {-0.2: 0.1, -0.1: 0.5, -0.05: 0.8, 0.05: 0.9, 0.1: 0.7, 0.2: 0.4}
    assert propose(0.9, success, identity=0.0).values == (-0.05, -0.1, -0.2)


def test_where_both_sides_cost_enough_the_one_that_comes_nearer_gives_the_levels() -> None:
    success = {0.2: 0.0, 0.5: 0.0, 0.8: 0.9, 2.0: 0.9, 3.0: 0.55, 4.0: 0.3, 5.0: 0.2}
    assert propose(1.0, success, identity=1.0).values == (2.0, 3.0, 4.0)


def test_a_family_that_cannot_cost_10_points_has_no_effect() -> None:
    found = propose(0.9, {0.1: 0.85, 0.5: 0.92, 2.0: 0.81, 5.0: 0.9}, identity=1.0)
    assert found == Proposal(None, note="no effect: costs 9 points at most")
    assert propose(0.9, {2.0: 0.95}, identity=1.0).note == "no effect: costs 0 points at most"


def test_what_cannot_cost_70_points_gives_the_nearest_and_says_so() -> None:
    found = propose(0.9, {2.0: 0.8, 3.0: 0.65, 5.0: 0.5, 8.0: 0.45, 10.0: 0.47}, identity=1.0)
    assert found.values == (2.0, 5.0, 8.0)
    assert found.note == "hard costs 45 points instead of 70; no figure costs more than 45"


def test_costs_rise_from_level_to_level_and_so_does_the_distance() -> None:
    # 3 costs less than 2 and 4: a level must not be harmless beyond a harder one.
    found = propose(1.0, {2.0: 0.88, 3.0: 0.9, 4.0: 0.6, 5.0: 0.6, 6.0: 0.3}, identity=1.0)
    assert found.values == (3.0, 4.0, 6.0)
    flat = propose(1.0, {2.0: 0.3, 3.0: 0.3, 4.0: 0.3}, identity=1.0)
    assert flat.values is None
    assert "no three figures" in flat.note


def test_proposals_are_lines_for_the_table_of_levels() -> None:
    shown = as_text(
        {
            "friction": Proposal((0.5, 0.2, 0.1), (9.0, 41.0, 72.0)),
            "gravity": Proposal(None, note="no effect"),
        }
    )
    assert shown.splitlines() == [
        '"friction": (0.5, 0.2, 0.1),  # costs 9, 41, 72 points',
        '"gravity": None,  # no effect',
    ]

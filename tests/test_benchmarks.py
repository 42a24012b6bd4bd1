"""Statistics by hand, runs side by side, and the README's numbers."""

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regoal import BadInput, DDPGConfig, TrainConfig, train
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.interrupts import Stopped
from regoal.agent.modes import MODES
from regoal.benchmarks import (
    demo,
    estimate,
    experiment,
    going_on,
    modes,
    reach,
    shift_table,
    speed,
    speed_parts,
)
from regoal.benchmarks.curves import Curve
from regoal.benchmarks.measures import area, final_success, steps_to
from regoal.benchmarks.parallel import RunFailed, run_all
from regoal.benchmarks.results import read_results
from regoal.benchmarks.statistics import bootstrap_interval, wilson_interval
from regoal.benchmarks.tables import read_rows
from regoal.envs.shift import Shift
from regoal.envs.shift_levels import LEVELS, MEASURED

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
STRATEGIES = ("future", "final", "episode", "random", "next", "rfaab")


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


class Odd(Exception):
    """Cannot be unpickled: its arguments are not its message."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def square(x: int) -> int | None:
    if x == 3:
        raise BadInput("x", "not three", "three")
    if x == 4:
        raise Odd(4, 4)
    if x == 5:
        os._exit(7)
    return None if x == 6 else x * x


def train_for_long(out: str) -> None:
    train(
        TrainConfig(
            env="regoal/PointReach-v0",
            out=out,
            agent=DDPGConfig(hidden=(16,), batch_size=16),
            steps=10_000_000,
            eval_episodes=1,
        )
    )


def train_or_finish(out: str) -> None:
    if not out.endswith("quick"):
        train_for_long(out)


def test_calls_run_side_by_side_and_a_failure_stands_in_its_place() -> None:
    results = run_all(square, [1, 2, 3, 4, 5, 6, 7], jobs=2)
    assert results[:2] == [1, 4]
    assert type(results[2]) is BadInput
    assert isinstance(results[3], RunFailed)
    assert "4 and 4" in str(results[3])
    assert isinstance(results[4], RunFailed)
    assert "exit code 7" in str(results[4])
    assert results[5:] == [None, 49]


def test_nothing_waits_for_processes_of_which_there_are_none() -> None:
    with pytest.raises(BadInput, match="jobs: expected 1 or more, got 0"):
        run_all(square, [1], jobs=0)


def test_ctrl_c_while_a_call_is_being_started_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    start = SpawnProcess.start

    def interrupted(self: SpawnProcess) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        start(self)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    _, second = run_all(square, [2, 7], jobs=1)
    assert str(second) == "not begun"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_runs_with_what_they_learned(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, test_benchmarks as t, regoal.benchmarks.parallel as p\n"
        "if __name__ == '__main__':\n"
        "    out = sys.argv[1]\n"
        "    runs = [out + '/quick', out + '/a', out + '/b', out + '/c']\n"
        "    results = p.run_all(t.train_or_finish, runs, 2)\n"
        "    print([getattr(result, 'exit_code', result) for result in results])\n"
    )
    (tmp_path / "many.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "many.py", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not all((tmp_path / run / "metrics.csv").exists() for run in "ab"):
        assert time.monotonic() < end
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert shown.strip() == f"[None, {128 + number}, {128 + number}, KeyboardInterrupt('not begun')]"
    assert all(newest_checkpoint(tmp_path / run) for run in "ab")
    assert not (tmp_path / "c").exists()


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


def test_the_readme_tells_what_is_seen_in_the_committed_demo() -> None:
    curves = demo.read_csv(RESULTS / "demo.csv")

    def told(arm: str) -> str:
        steps = [steps_to(demo.THRESHOLD, curves[arm].steps, one, hold=2) for one in curves[arm].success]
        return f"after {min(steps):,.0f} to {max(steps):,.0f}".replace(f"{max(steps):,.0f} to ", "")

    tuned, scratch = told(demo.FINETUNE_HER), told(demo.SCRATCH_HER)
    assert (
        f"fine-tuning with hindsight is there {tuned} steps, learning from scratch with it {scratch}."
    ) in (ROOT / "README.md").read_text()


def test_the_readme_tells_how_long_the_committed_demo_took() -> None:
    (row,) = read_rows(RESULTS / "demo-time.csv")
    minutes = round(float(row["wall_seconds"]) / 30) / 2
    assert minutes <= 5
    text = (ROOT / "README.md").read_text()
    assert f"about {minutes:g} minutes on {row['jobs']} cores" in text


def test_the_readme_tells_the_committed_reach_results() -> None:
    rows = read_rows(RESULTS / "reach.csv")
    text = (ROOT / "README.md").read_text()
    for agent, name in (("ddpg", "DDPG"), ("sac", "SAC")):
        mine = [row for row in rows if row["agent"] == agent]
        assert len(mine) == 5
        worst = min(float(row["success"]) for row in mine)
        seconds = max(float(row["wall_seconds"]) for row in mine)
        steps = int(mine[0]["env_steps"])
        assert f"{name} at least {worst:.2f} after {steps:,} steps and at most {seconds:.0f} s" in text


def test_readme_and_scale_show_the_speed_of_the_committed_csv() -> None:
    rows = read_rows(RESULTS / "speed.csv")
    assert speed.table(rows) in (ROOT / "docs" / "scale.md").read_text()
    shown = speed.headlines(rows)
    assert {row["measure"] for row in shown} == set(speed.HEADLINES)
    text = (ROOT / "README.md").read_text()
    assert speed.table(shown) in text
    missed = [row["measure"] for row in rows if row["target"] and float(row["ratio"]) < float(row["target"])]
    assert missed == ["SAC update, 3 x 256, batch 256"], "README and docs/scale.md name the only one"


def test_the_committed_speed_has_every_measure_and_repetition() -> None:
    rows = read_rows(RESULTS / "speed.csv")
    assert list(rows[0]) == [
        "measure",
        "ours",
        "peer",
        "theirs",
        "unit",
        "ratio",
        "target",
        "repetitions",
    ]
    measures = " ".join(row["measure"] for row in rows)
    for part in (
        "HER sample",
        "growth",
        "on disk",
        "SAC update",
        "inference",
        "playing",
        "collecting",
        "to 95 %",
    ):
        assert part in measures
    # Memory does not vary from one time to the next; everything else is a median of five or more.
    assert all(int(row["repetitions"]) >= 5 for row in rows if row["unit"] != "bytes")
    sampled = [row for row in rows if row["measure"].startswith("HER sample") and row["target"]]
    assert {row["peer"] for row in sampled} == {"stable-baselines3", "tianshou", "torchrl", "limit"}
    assert len(sampled) == 4 * 3 + 2


def test_each_seed_of_demo_and_modes_starts_from_the_source_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (demo, experiment):
        monkeypatch.setattr(module, "resolve", lambda source, target: (source, target.out, target.seed))
    reach_modes = modes.EXPERIMENTS["reach"]
    for seed in (0, 1):
        configs: list[Any] = [demo.arm_config(tmp_path, arm, seed) for arm in demo.ARMS]
        configs += [experiment.tuned_config(reach_modes, tmp_path, mode, seed) for mode in reach_modes.modes]
        for source, out, of in configs:
            assert (source, Path(out).name, of) == (
                tmp_path / "source" / f"seed-{seed}",
                f"seed-{seed}",
                seed,
            )


def test_what_is_kept_on_the_source_is_that_of_the_same_arm_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Success at home is made up: 0.5 and 1 of the sources, and an eighth more for each mode after them."""
    small = replace(modes.EXPERIMENTS["reach"], seeds=(0, 1))
    order = ["source", *MODES]

    def home(run: Path) -> float:
        of = "source" if run.parent.name == "source" else run.parent.name
        return (order.index(of) / 8 if of != "source" else 1.0) * (0.5 if run.name == "seed-0" else 1.0)

    curve = Curve(np.arange(4) * 100, np.array([[0.0, 0.5, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]))
    monkeypatch.setattr(modes, "EXPERIMENTS", {"reach": small})
    monkeypatch.setattr(modes, "run_experiment", lambda *arguments: None)
    monkeypatch.setattr(modes, "all_results", lambda function, runs, jobs: [home(run) for run in runs])
    monkeypatch.setattr(modes, "read_modes", lambda *arguments: dict.fromkeys(MODES, curve))
    monkeypatch.setattr("sys.argv", ["modes", "--out", str(tmp_path / "out"), "reach"])
    assert modes.main() == 0
    rows = read_rows(tmp_path / "out" / "modes-reach.csv")
    assert [(row["arm"], row["seed"]) for row in rows] == [(mode, seed) for mode in MODES for seed in "01"]
    assert [float(row["kept_on_source"]) for row in rows] == [
        order.index(mode) / 8 for mode in MODES for _ in range(2)
    ]


def test_the_guide_shows_the_committed_comparison_of_modes() -> None:
    rows = read_rows(RESULTS / "modes-reach.csv")
    assert {row["arm"] for row in rows} == set(MODES)
    table = modes.table(rows, modes.EXPERIMENTS["reach"].eval_interval)
    assert table in (ROOT / "docs" / "finetuning.md").read_text()


@pytest.mark.parametrize("name", MEASURED)
def test_the_levels_are_those_whose_cost_was_measured(name: str) -> None:
    rows = shift_table.read_table(RESULTS / f"shifts-{name}.csv")
    assert rows[0].family == "none"
    assert rows[0].success is not None
    assert rows[0].success >= 0.55  # a policy that cannot do its task shows nothing
    found = {row.family: [one.value for one in rows if one.family == row.family] for row in rows[1:]}
    del found["combined"]
    for row in (one for one in rows if one.family == "combined"):
        assert row.shift == str(Shift.parse(f"combined={row.level}").resolved(row.env)), row.level
    for family, figures in LEVELS[name].items():
        assert found.pop(family) == ([None] if figures is None else list(figures)), family
    assert not found
    assert (RESULTS / f"shifts-{name}.png").exists()


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    class Told:
        """A side that takes as long as it is told."""

        def __init__(self, seconds: float) -> None:
            self._seconds = seconds

        def seconds(self, calls: int) -> float:
            return self._seconds

    quick, slow = Told(0.001), Told(0.004)
    for unit, per_second, figures in (("ms", 0.0, (1.0, 4.0)), ("steps/s", 50.0, (50_000.0, 12_500.0))):
        row = speed_parts.compared(
            "x",
            quick,
            slow,
            (1, 1),
            peer="y",
            unit=unit,
            target=2.0,
            per_second=per_second,  # type: ignore[arg-type]
        )
        assert (row.ours, row.theirs) == pytest.approx(figures)
        assert row.ratio == pytest.approx(4.0)
    limit = speed_parts.against_limit("x", 0.05, 0.1, "ms", 9)
    assert limit.ratio == pytest.approx(2.0)


def test_parts_measured_again_leave_the_other_rows_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(measure: str, ours: float) -> speed_parts.Row:
        return speed_parts.Row(measure, ours, "limit", 1.0, "ms", 1 / ours, None, 9)

    machine = {"cpu": "one"}
    monkeypatch.setattr(speed, "conditions", lambda: machine)
    speed.write_results(tmp_path, [row("a", 0.5), row("b", 0.25)], afresh=True)
    speed.write_results(tmp_path, [row("a", 0.125)], afresh=False)
    assert [(one["measure"], one["ours"]) for one in read_rows(tmp_path / "speed.csv")] == [
        ("a", "0.125"),
        ("b", "0.25"),
    ]
    machine["cpu"] = "another"  # whose figures must not stand beside those of the first
    speed.write_results(tmp_path, [row("b", 2.0)], afresh=False)
    assert [one["measure"] for one in read_rows(tmp_path / "speed.csv")] == ["b"]


def test_what_the_readme_says_of_strategies_is_in_its_table() -> None:
    results = read_results(RESULTS / "relabel.csv")
    reach, maze = results.tasks
    assert (reach, maze) == ("FetchReach-v4", "PointMaze_UMaze-v3")
    text = (ROOT / "README.md").read_text()

    def mean(measure: Callable[[Curve], Any], agent: str, relabel: str, tasks: Sequence[str]) -> float:
        curves = [results.curve(task, f"{agent}-{relabel}") for task in tasks]
        assert {len(curve.success) for curve in curves} == {5}
        return float(np.mean([measure(curve) for curve in curves]))

    final, over_run = ({}, {})
    for agent in ("ddpg", "sac"):
        for relabel in (*STRATEGIES, "none"):
            final[agent, relabel] = mean(final_success, agent, relabel, [reach])
            over_run[agent, relabel] = mean(area, agent, relabel, results.tasks)
    none = (f"{final[agent, 'none']:.2f}" for agent in ("ddpg", "sac"))
    assert f"FetchReach ends at {' with DDPG and '.join(none)} with SAC" in text
    assert f"at {min(value for (_, name), value in final.items() if name != 'none'):.2f} or more" in text
    *ends, without = (mean(final_success, "ddpg", name, [maze]) for name in (*STRATEGIES, "none"))
    assert f"with DDPG from {min(ends):.2f} to {max(ends):.2f}, and {without:.2f} without hindsight" in text
    for agent, label in (("ddpg", "DDPG"), ("sac", "SAC")):
        order = sorted((value, name) for (one, name), value in over_run.items() if one == agent)
        assert [name for _, name in order[:3]] == ["none", "final", "next"]
        assert f"{order[1][0]:.2f} and {order[2][0]:.2f} with {label}" in text
        assert f"{order[3][0]:.2f} to {order[-1][0]:.2f} with {label}" in text


def test_what_the_readme_says_of_fine_tuning_is_in_its_table() -> None:
    results = read_results(RESULTS / "transfer.csv")
    turned, *others = results.tasks
    assert turned.endswith("action_rotation=90")
    assert len(others) == 2
    keeping = ("warm_start", "naive", "replay_mix", "anchor")

    def final(relabel: str, modes: Sequence[str], tasks: Sequence[str]) -> list[float]:
        curves = [results.curve(task, f"{relabel}-{mode}") for task in tasks for mode in modes]
        assert {len(curve.success) for curve in curves} == {5}
        return [float(final_success(curve).mean()) for curve in curves]

    text = (ROOT / "README.md").read_text()
    ends = dict(zip(keeping, final("future", keeping, [results.tasks[-1]]), strict=True))
    others_of = final("future", keeping, results.tasks[:-1]) + [
        ends[mode] for mode in keeping if mode != "naive"
    ]
    assert f"weights end at about {min(others_of):.2f} or more in all three" in text
    assert (
        f"but for `naive` with the sensors that are off, at {ends['naive']:.2f}: one of its five runs" in text
    )
    never = results.curve(results.tasks[-1], "future-naive").success[:, -3:].max(axis=1) < 0.5
    assert never.sum() == 1
    assert min(final("none", keeping, [turned])) >= 0.95
    without = final("none", keeping, others)
    assert f"between {min(without):.2f} and {max(without):.2f}" in text
    assert f"scratch ends at {max(final('none', ['scratch'], results.tasks)):.2f} or less" in text


def test_a_command_goes_on_in_what_it_has_begun_and_leaves_other_folders_alone(tmp_path: Path) -> None:
    def folder() -> str:
        return going_on.folder_of(tmp_path / "out", "mine", lambda last: (last / "end").exists()).name

    (tmp_path / "out").mkdir()  # of somebody else
    assert folder() == folder() == "out-2"
    (tmp_path / "out-2" / "end").write_text("")
    assert folder() == folder() == "out-3"
    (tmp_path / "out-3" / going_on.MARK).write_text("yours")
    assert folder() == folder() == "out-4"
    assert list((tmp_path / "out").iterdir()) == []


def test_the_demo_goes_on_where_it_was_stopped_and_begins_anew_when_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "ENV", "regoal/PointReach-v0")
    for name, value in (("SEEDS", (0,)), ("SOURCE_STEPS", 200), ("TARGET_STEPS", 400), ("EVAL_EPISODES", 2)):
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setattr(demo, "show_before_after", lambda *arguments: [])
    results, draw = tmp_path / "results", demo.draw_curves
    command = ["demo", "--out", str(tmp_path / "out"), "--results", str(results)]
    monkeypatch.setattr("sys.argv", command)

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "draw_curves", stopped)
    assert going_on.exit_code(demo.main) == 130
    monkeypatch.setattr(demo, "draw_curves", draw)
    runs = [*(tmp_path / "out").rglob("metrics.csv")]
    before = {path: path.stat().st_mtime_ns for path in runs}
    assert len(runs) == 5
    capsys.readouterr()
    assert going_on.exit_code(demo.main) == 0
    assert {path: path.stat().st_mtime_ns for path in runs} == before
    assert {path.name for path in results.iterdir()} == {"demo.csv", "demo-curves.png"}
    assert "demo-time.csv stays as it is" in capsys.readouterr().err
    assert going_on.exit_code(demo.main) == 0
    assert (tmp_path / "out-2" / demo.TABLE).read_text() == (tmp_path / "out" / demo.TABLE).read_text()
    assert (results / "demo-time.csv").exists()


def test_modes_go_on_with_the_runs_that_are_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(
        modes.EXPERIMENTS["reach"], env="regoal/PointReach-v0", seeds=(0,), source_steps=200, steps=300
    )
    monkeypatch.setattr(modes, "EXPERIMENTS", {"reach": replace(tiny, eval_episodes=2)})
    monkeypatch.setattr(modes, "KEPT_EPISODES", 2)
    monkeypatch.setattr("sys.argv", ["modes", "--out", str(tmp_path / "out"), "reach"])
    assert going_on.exit_code(modes.main) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    runs = [*(tmp_path / "out").rglob("metrics.csv")]
    assert len(runs) == 1 + len(MODES)
    cut = experiment.run_path(tmp_path / "out", tiny.shift, "naive", 0)
    shutil.rmtree(cut)
    (tmp_path / "out" / modes.TABLE).unlink()
    before = {path: path.stat().st_mtime_ns for path in runs if cut not in path.parents}
    told = (tmp_path / "out" / "modes-reach.csv").read_text()
    assert going_on.exit_code(modes.main) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (tmp_path / "out" / "modes-reach.csv").read_text() == told
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def small_config(out: Path, steps: int) -> TrainConfig:
    agent = DDPGConfig(hidden=(16,), batch_size=16)
    config = TrainConfig("regoal/PointReach-v0", str(out), agent, steps=steps, eval_interval=100, workers=0)
    # Not in the order in which it is written down.
    return replace(config, eval_episodes=2, shift="action_rotation=45,action_gain=0.8")


def test_a_run_of_an_experiment_goes_on_to_the_same_numbers_and_is_not_run_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = (small_config(tmp_path / name, steps=400) for name in ("whole", "cut"))
    experiment.learned(whole)
    capsys.readouterr()
    experiment.learned(whole)
    assert capsys.readouterr() == ("", "")
    threading.Thread(target=_stop_when_begun, args=(tmp_path / "cut",), daemon=True).start()
    with pytest.raises(Stopped):
        experiment.learned(cut)
    experiment.learned(cut)
    first, second = (
        [{key: row[key] for key in row if not key.startswith("wall_")} for row in read_rows(path)]
        for path in (tmp_path / "whole" / "metrics.csv", tmp_path / "cut" / "metrics.csv")
    )
    assert first == second
    with pytest.raises(BadInput, match=r"steps=400 \(not 500\)"):
        experiment.learned(small_config(tmp_path / "cut", steps=500))

    def refused() -> int:
        raise BadInput("env", "one", "none")

    def stopped() -> int:
        raise Stopped(tmp_path, signal.SIGTERM)

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert [going_on.exit_code(main) for main in (refused, stopped, lambda: 7)] == [2, 143, 7]
    assert going_on.exit_code(interrupted) == 130
    assert "stopped; the same command goes on" in capsys.readouterr().err


def _stop_when_begun(run: Path) -> None:
    while not (run / "metrics.csv").exists() or not read_rows(run / "metrics.csv"):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)


def test_reach_goes_on_with_the_runs_that_it_has_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []

    def measure(agent: str, seed: int, out: Path) -> reach.Row:
        calls.append((agent, seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return reach.Row(reach.ENV, agent, seed, reach.STEPS[agent], 100, 1.0, 5.5)

    monkeypatch.setattr(reach, "measure", measure)
    monkeypatch.setattr("sys.argv", ["reach", "--out", str(tmp_path / "out"), "--results", str(tmp_path)])
    assert going_on.exit_code(reach.main) == 130
    assert not (tmp_path / "reach.csv").exists()
    assert going_on.exit_code(reach.main) == 0
    wanted = [(agent, seed) for agent in reach.STEPS for seed in reach.SEEDS]
    assert calls == [*wanted[:3], *wanted[2:]]
    rows = read_rows(tmp_path / "reach.csv")
    assert [(row["agent"], int(row["seed"])) for row in rows] == wanted
    assert reach.main() == 0  # it is finished, so that it begins anew, elsewhere
    assert len(calls) == 21
    assert (tmp_path / "out-2" / "reach.csv").exists()


def test_what_speed_has_measured_is_written_whatever_becomes_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one() -> Iterator[speed.Row]:
        yield speed.Row("a", 1.0, "peer", 2.0, "ms", 2.0, 1.0, 9)

    def broken() -> Iterator[speed.Row]:
        raise SystemExit("an unsteady machine")
        yield

    monkeypatch.setattr(speed, "PARTS", {"one": one, "broken": broken})
    monkeypatch.setattr(speed, "conditions", lambda: {"cpu": "mine"})
    monkeypatch.setattr("sys.argv", ["speed", "--results", str(tmp_path)])
    gone = speed.Row("no longer measured", 1.0, "peer", 2.0, "ms", 2.0, 1.0, 9)
    speed.write_results(tmp_path, [gone], afresh=True)
    with pytest.raises(SystemExit, match="unsteady"):
        speed.main()
    assert {row["measure"] for row in read_rows(tmp_path / "speed.csv")} == {"a", "no longer measured"}
    monkeypatch.setattr(speed, "PARTS", {"one": one})
    assert speed.main() == 0
    assert [row["measure"] for row in read_rows(tmp_path / "speed.csv")] == ["a"]


def test_a_dry_run_is_not_ended_by_its_own_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "LEARNING_SECONDS", 0.3)
    (tmp_path / "metrics.csv").write_text("wall_seconds\n1\n")
    with estimate._stopped_soon(tmp_path):
        pass  # a run that has ended: nobody is asked to stop any more
    with estimate._stopped_soon(tmp_path):
        time.sleep(1)  # what the run's own handler no longer takes
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

"""Which cell runs when, what becomes of one that is lost, silent or failed, and what its folder tells."""

import errno
import json
import os
import shutil
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regoal import BadInput
from regoal.agent import checkpoints, loop, rollouts
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.interrupts import Stopped, StopRequest
from regoal.agent.run_lock import RunLock
from regoal.benchmarks import benchmark
from regoal.benchmarks.benchmark import Schedule, named
from regoal.benchmarks.benchmark_folder import make_folder, read_failures, write_suite
from regoal.benchmarks.cell_run import Job, is_finished, run_cell
from regoal.benchmarks.cells import Cell, cells_of
from regoal.benchmarks.parallel import NodeLost, ProcessDied, RunFailed
from regoal.benchmarks.results import COLUMNS, Results, read_results, write_results
from regoal.benchmarks.suite import Suite, parse_suite
from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.taken_over import take_over

TINY = """
name = "tiny"
seeds = [0, 1]
steps = 200
eval_interval = 100
eval_episodes = 2
[pretrain]
steps = 200
[grid]
env = ["regoal/PointReach-v0"]
shift = ["action_gain=0.5"]
mode = ["warm_start", "scratch", "zero_shot"]
[settings]
agent.hidden = [8]
agent.batch_size = 8
[[override]]
when = { mode = "warm_start" }
set = { learning_starts = 50, critic_warmup_steps = 50 }
"""
TASK = "regoal_PointReach-v0_action_gain=0.5"
SOURCE = "source-regoal_PointReach-v0/ddpg"


def _suite(text: str = TINY) -> Suite:
    return parse_suite(tomllib.loads(text), "tiny.toml")


class _Launcher:
    """Runs nothing: a cell ends as it is told to, in the order in which cells were begun."""

    def __init__(self, slots: int, ends: Callable[[str, int], BaseException | str | None]) -> None:
        self.slots, self._ends = slots, ends
        self.begun_keys: list[str] = []
        self.most = 0
        self._running: dict[str, BaseException | str | None] = {}

    def prepare(self, out: Path) -> None:
        raise AssertionError("that is for run_suite")

    def begun(self, key: str) -> bool:
        return self._running[key] != "waits"

    def start(self, key: str, item: Job) -> None:
        assert key not in self._running
        self.begun_keys.append(key)
        self._running[key] = self._ends(key, self.begun_keys.count(key))
        self.most = max(self.most, len(self._running))
        item.cell.path.mkdir(parents=True, exist_ok=True)
        (item.cell.path / "metrics.csv").write_text("env_steps,success\n0,0.5\n")

    def ended(self, timeout: float) -> list[tuple[str, BaseException | None]]:
        for key, how in self._running.items():
            if not isinstance(how, str):  # one that hangs does not end
                del self._running[key]
                return [(key, how)]
        return []

    def stop(self) -> None:
        self._running = {key: Stopped(key) for key in self._running}

    def kill(self, key: str) -> None:
        self._running[key] = ProcessDied("its process died (exit code -9)")


def _scheduled(
    out: Path,
    launcher: _Launcher,
    *,
    retry: bool = False,
    silent_seconds: float = 100.0,
    stop: StopRequest | None = None,
    only: str = "",
) -> Schedule:
    suite = _suite()
    make_folder(suite, out)
    write_suite(suite, out)
    cells = cells_of(suite, out)
    schedule = Schedule(suite, cells, out, launcher, silent_seconds)
    schedule.run(stop or StopRequest(), named(cells, only), retry=retry)
    return schedule


@pytest.mark.parametrize("slots", [1, 3])
def test_cells_wait_for_their_sources_and_go_seed_by_seed(tmp_path: Path, slots: int) -> None:
    launcher = _Launcher(slots, lambda key, time: None)
    assert not _scheduled(tmp_path / "out", launcher).failures
    assert launcher.most == slots
    assert len(launcher.begun_keys) == len(set(launcher.begun_keys)) == 8
    for seed in (0, 1):
        source = launcher.begun_keys.index(f"{SOURCE}/seed-{seed}")
        for arm in ("warm_start", "zero_shot"):
            assert launcher.begun_keys.index(f"{TASK}/{arm}/seed-{seed}") > source
    if slots == 1:
        assert [key[-1] for key in launcher.begun_keys] == [*"00001111"]


def test_a_failure_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    bad = f"{TASK}/scratch/seed-0"

    def ends(key: str, time: int) -> BaseException | None:
        return RunFailed("ValueError: it broke") if key in (bad, f"{SOURCE}/seed-1") else None

    launcher = _Launcher(2, ends)
    _scheduled(tmp_path / "out", launcher)
    failed = read_failures(tmp_path / "out")
    assert {key: (one.error, one.attempts) for key, one in failed.items()} == {
        bad: ("ValueError: it broke", 1),
        f"{SOURCE}/seed-1": ("ValueError: it broke", 1),
        f"{TASK}/warm_start/seed-1": (f"its source {SOURCE}/seed-1 failed", 0),
        f"{TASK}/zero_shot/seed-1": (f"its source {SOURCE}/seed-1 failed", 0),
    }
    assert len(launcher.begun_keys) == 6
    again = _Launcher(2, lambda key, time: None)
    _scheduled(tmp_path / "out", again)
    assert not set(again.begun_keys) & set(failed)  # only what --retry asks for
    assert read_failures(tmp_path / "out") == failed
    last = _Launcher(2, lambda key, time: RunFailed("again") if key == bad else None)
    _scheduled(tmp_path / "out", last, retry=True)
    assert set(failed) <= set(last.begun_keys)
    assert read_failures(tmp_path / "out")[bad].attempts == 2


def test_a_part_neither_runs_nor_forgets_what_failed_in_others(tmp_path: Path) -> None:
    bad, out = f"{TASK}/scratch/seed-0", tmp_path / "out"
    failing = _Launcher(1, lambda key, time: ValueError("broke") if key == bad else None)
    assert set(_scheduled(out, failing, only="seed-0").failures) == {bad}
    for retry in (False, True):
        part = _Launcher(1, lambda key, time: None)
        assert set(_scheduled(out, part, only="scratch/seed-1", retry=retry).failures) == {bad}
        assert part.begun_keys == [f"{TASK}/scratch/seed-1"]
        assert [one["cell"] for one in read_rows(out / "failures.csv")] == [bad]
    again = _Launcher(1, lambda key, time: None)
    assert not _scheduled(out, again, only="scratch", retry=True).failures
    assert bad in again.begun_keys


def test_a_cell_that_is_lost_goes_on_but_not_for_ever(tmp_path: Path) -> None:
    died = ProcessDied("its process died (exit code -9)")
    unlucky, doomed = f"{TASK}/scratch/seed-0", f"{TASK}/scratch/seed-1"

    def ends(key: str, time: int) -> BaseException | None:
        return died if key == doomed or (key == unlucky and time < 3) else None

    launcher = _Launcher(2, ends)
    failures = _scheduled(tmp_path / "out", launcher).failures
    assert launcher.begun_keys.count(unlucky) == launcher.begun_keys.count(doomed) == 3
    assert {key: (one.error, one.attempts) for key, one in failures.items()} == {doomed: (str(died), 3)}


def test_a_silent_cell_is_ended_and_begun_once_more(tmp_path: Path) -> None:
    slow, mute = f"{TASK}/scratch/seed-0", f"{TASK}/scratch/seed-1"

    def ends(key: str, time: int) -> BaseException | str | None:
        return "hangs" if key == mute or (key == slow and time == 1) else None

    launcher = _Launcher(2, ends)
    failures = _scheduled(tmp_path / "out", launcher, silent_seconds=0.05).failures
    assert launcher.begun_keys.count(slow) == launcher.begun_keys.count(mute) == 2
    assert {key: one.error for key, one in failures.items()} == {
        mute: "it said nothing for 0.05 s again: if an episode may take as long, raise --silent-seconds"
    }


def test_a_cell_that_waits_for_a_place_is_not_silent(tmp_path: Path) -> None:
    began = time.monotonic()

    class _Full(_Launcher):
        def ended(self, timeout: float) -> list[tuple[str, BaseException | None]]:
            waiting = [key for key, how in self._running.items() if how == "waits"]
            if waiting and time.monotonic() - began > 0.3:
                self._running[waiting[0]] = None  # it finds one, and ends
            return super().ended(timeout)

    launcher = _Full(2, lambda key, time: "waits" if "scratch" in key else None)
    assert not _scheduled(tmp_path / "out", launcher, silent_seconds=0.05).failures
    assert len(launcher.begun_keys) == 8


def test_a_lost_node_is_not_the_fault_of_a_cell_but_not_for_ever(tmp_path: Path) -> None:
    unlucky, deadly = f"{TASK}/scratch/seed-0", f"{TASK}/scratch/seed-1"
    lost = NodeLost("its node is lost")

    def ends(key: str, time: int) -> BaseException | None:
        return lost if key == deadly or (key == unlucky and time < 10) else None

    launcher = _Launcher(2, ends)
    failures = _scheduled(tmp_path / "out", launcher).failures
    assert launcher.begun_keys.count(unlucky) == launcher.begun_keys.count(deadly) == 10
    assert {key: one.error for key, one in failures.items()} == {deadly: "its node is lost"}


def test_a_stop_is_no_failure_and_begins_nothing(tmp_path: Path) -> None:
    stop = StopRequest()

    def ends(key: str, time: int) -> str:
        stop.signal = 15
        return "hangs"

    launcher = _Launcher(2, ends)
    assert not _scheduled(tmp_path / "out", launcher, stop=stop).failures
    assert len(launcher.begun_keys) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark whose seed 0 is finished but for what is fine-tuned."""
    out = tmp_path_factory.mktemp("cells") / "out"
    for cell in cells_of(_suite(), out):
        if cell.config.seed == 0 and "warm_start" not in cell.name:
            _run(cell)
    return out


def _written(out: Path, text: str = TINY) -> Path:
    return write_results(out, [cell.path for cell in cells_of(_suite(text), out) if is_finished(cell)])


def _run(cell: Cell) -> None:
    origin = {"commit": "abc", "command": "regoal benchmark suite.toml"}
    run_cell(Job(cell, dict(cell.columns) | origin))


def _copied(folder: Path, out: Path) -> dict[str, Cell]:
    shutil.copytree(folder, out)
    return {cell.name: cell for cell in cells_of(_suite(), out)}


def test_a_finished_cell_is_known_by_its_settings(folder: Path, tmp_path: Path) -> None:
    cells = _copied(folder, tmp_path / "moved")
    finished = {name for name, cell in cells.items() if is_finished(cell)}
    assert finished == {f"{SOURCE}/seed-0", f"{TASK}/scratch/seed-0", f"{TASK}/zero_shot/seed-0"}
    other = cells_of(_suite(TINY.replace("[8]", "[9]")), tmp_path / "moved")
    assert not any(is_finished(cell) for cell in other)
    log = cells[f"{TASK}/scratch/seed-0"].log.read_text()
    assert "checking regoal/PointReach-v0 with action_gain=0.5" in log


def test_rows_of_another_machine_stand_for_runs(folder: Path, tmp_path: Path) -> None:
    there = read_results(_written(folder))
    out = tmp_path / "out"
    cells = cells_of(_suite(), out)
    assert take_over(cells, there) == 2
    taken = {cell.name for cell in cells if is_finished(cell)}
    assert taken == {f"{TASK}/scratch/seed-0", f"{TASK}/zero_shot/seed-0"}
    assert take_over(cells, there) == 0  # they are there
    write_suite(_suite(), out)
    assert read_results(_written(out)) == there
    launcher = _Launcher(1, lambda key, time: None)
    assert not _scheduled(out, launcher, only="seed-0").failures
    assert launcher.begun_keys == [f"{SOURCE}/seed-0", f"{TASK}/warm_start/seed-0"]


def test_a_source_of_nothing_that_is_left_is_not_trained(folder: Path, tmp_path: Path) -> None:
    there = read_results(_written(folder))
    out = tmp_path / "out"
    cells = cells_of(_suite(), out)
    make_folder(_suite(), out)
    write_suite(_suite(), out)
    (tuned,) = (cell for cell in cells if cell.name == f"{TASK}/warm_start/seed-0")
    own = {name: str(value) for name, value in tuned.columns.items()} | {"config_hash": tuned.config_hash}
    scratch = [row | own for row in there.rows if row["arm"] == "scratch"]
    assert take_over(cells, Results(tuple(scratch[:-1]))) == 0  # its end is missing
    assert take_over(cells, Results((*there.rows, *scratch))) == 3
    launcher = _Launcher(1, lambda key, time: None)
    _scheduled(out, launcher, only="seed-0")
    assert launcher.begun_keys == []
    _scheduled(out, launcher, only="source-")  # asked for by name
    assert launcher.begun_keys == [f"{SOURCE}/seed-0", f"{SOURCE}/seed-1"]


def test_rows_of_other_settings_are_left_and_what_has_begun_is_kept_beside_them(
    folder: Path, tmp_path: Path
) -> None:
    there = read_results(_written(folder))
    assert take_over(cells_of(_suite(TINY.replace("[8]", "[9]")), tmp_path / "other"), there) == 0
    cells = cells_of(_suite(), tmp_path / "out")
    (begun,) = (cell for cell in cells if cell.name == f"{TASK}/scratch/seed-0")
    begun.path.mkdir(parents=True)
    (begun.path / "config.toml").write_text("of a run that was killed\n")
    with RunLock(begun.path), pytest.raises(BadInput, match="held by process"):
        take_over(cells, there, lock_seconds=0.0)
    assert take_over(cells, there) == 2
    assert (begun.path.parent / "seed-0.begun" / "config.toml").read_text() == "of a run that was killed\n"
    assert read_results(_written(tmp_path / "out")) == there


def test_a_mixture_has_a_folder_that_is_found_again(tmp_path: Path) -> None:
    text = TINY.replace('mode = ["warm', 'relabel = ["future", "4*future+4*desired+1*random"]\nmode = ["warm')
    suite = _suite(text.replace("[0, 1]", "[0]"))
    (cell,) = (one for one in cells_of(suite, tmp_path) if "desired" in one.name and "scratch" in one.name)
    assert cell.name == f"{TASK}/4_future+4_desired+1_random-scratch/seed-0"
    _run(cell)
    assert {"cell.json", "metrics.csv"} <= {path.name for path in (tmp_path / "cells" / cell.name).iterdir()}
    assert json.loads((cell.path / "cell.json").read_text())["relabel"] == "4*future+4*desired+1*random"
    again = {one.name: one for one in cells_of(suite, tmp_path)}
    assert [name for name, one in again.items() if is_finished(one)] == [cell.name]


def test_a_cell_that_was_killed_before_it_saved_anything_begins_anew(folder: Path, tmp_path: Path) -> None:
    cell = _copied(folder, tmp_path / "out")[f"{TASK}/scratch/seed-0"]
    before = read_rows(cell.path / "metrics.csv")
    (cell.path / "cell.json").unlink()
    shutil.rmtree(cell.path / "checkpoints")
    _run(cell)
    wall = {"wall_seconds", "wall_env_steps_per_second"}
    for row, other in zip(before, read_rows(cell.path / "metrics.csv"), strict=True):
        assert {k: v for k, v in row.items() if k not in wall} == {
            k: v for k, v in other.items() if k not in wall
        }
    assert is_finished(cell)


def test_what_was_killed_after_its_end_is_not_run_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = _copied(folder, tmp_path / "out")[f"{TASK}/zero_shot/seed-0"]
    (cell.path / "cell.json").unlink()
    monkeypatch.setattr(rollouts.Rollouts, "evaluate", lambda *args: pytest.fail("played"))
    _run(cell)
    assert is_finished(cell)


def test_what_was_saved_after_an_error_is_left_for_what_was_saved_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_rows(_written(folder))
    text = TINY.replace("agent.batch_size = 8", "agent.batch_size = 8\ncheckpoint_interval = 100")
    (cell,) = (
        one for one in cells_of(_suite(text), tmp_path / "out") if one.name == f"{TASK}/scratch/seed-0"
    )
    added: list[int] = []
    add = loop.Training._add

    def noted(self: loop.Training, episodes: Any) -> None:
        added.append(self.state.env_steps)
        if len(added) == 2:
            raise RuntimeError("the disk is full")
        add(self, episodes)

    monkeypatch.setattr(loop.Training, "_add", noted)
    with pytest.raises(RuntimeError, match="the disk is full"):
        _run(cell)
    assert newest_checkpoint(cell.path).state["progress"]["inside_block"]
    _run(cell)
    assert added == [0, 100, 100]
    rows = read_rows(write_results(tmp_path / "out", [cell.path]))
    success = [row["success"] for row in expected if row["arm"] == "scratch"]
    assert [row["success"] for row in rows] == success


def _half_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell that was killed after its first block."""
    text = TINY.replace("agent.batch_size = 8", "agent.batch_size = 8\ncheckpoint_interval = 100")
    (cell,) = (
        one for one in cells_of(_suite(text), tmp_path / "out") if one.name == f"{TASK}/scratch/seed-0"
    )
    with monkeypatch.context() as patch:
        add = loop.Training._add

        def killed(self: loop.Training, episodes: Any) -> None:
            if self.state.env_steps == 100:
                raise KeyboardInterrupt
            add(self, episodes)

        patch.setattr(loop.Training, "_add", killed)
        with pytest.raises(KeyboardInterrupt):
            _run(cell)
    (cell.path / "mark").touch()  # which goes when the folder is emptied
    return cell


@pytest.mark.parametrize("folder", ["checkpoints", "replay"])
@pytest.mark.parametrize("times", [1, 1_000])
def test_nothing_is_taken_away_that_cannot_be_read_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, times: int
) -> None:
    cell = _half_run(tmp_path, monkeypatch)
    before = sorted(cell.path.rglob("*"))
    plain, left = os.open, iter(range(times))

    def fails(path: Any, *arguments: Any, **options: Any) -> int:
        if (
            f"/{folder}/" in str(path)
            and str(path).endswith((".json", ".safetensors"))
            and next(left, None) is not None
        ):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return plain(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fails)
        with pytest.raises(BadInput, match=r"Input/output error.*Nothing was taken away"):
            _run(cell)
    assert set(before) <= set(cell.path.rglob("*"))
    _run(cell)
    assert is_finished(cell)
    assert (cell.path / "mark").exists()  # it went on


def test_what_another_version_began_is_refused_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = _half_run(tmp_path, monkeypatch)
    monkeypatch.setattr(checkpoints, "SCHEMA", 4)
    with pytest.raises(BadInput, match=r"schema 4, got it has schema 3.*the version that began it"):
        _run(cell)
    assert read_rows(cell.path / "metrics.csv")


def test_what_is_damaged_for_good_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = _half_run(tmp_path, monkeypatch)
    for path in (cell.path / "checkpoints").rglob("manifest.json"):
        path.write_text("{}")
    _run(cell)
    assert is_finished(cell)
    assert not (cell.path / "mark").exists()


def test_a_folder_of_other_settings_is_left_alone(folder: Path, tmp_path: Path) -> None:
    _copied(folder, tmp_path / "out")
    other = cells_of(_suite(TINY.replace("eval_episodes = 2", "eval_episodes = 3")), tmp_path / "out")
    (cell,) = (one for one in other if one.name == f"{TASK}/scratch/seed-0")
    with pytest.raises(BadInput, match=r"eval_episodes=2 \(not 3\).*another --out"):
        _run(cell)
    assert read_rows(cell.path / "metrics.csv")


def test_arms_start_from_the_end_of_their_source_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    cells = _copied(folder, tmp_path / "out")
    source, cell = cells[f"{SOURCE}/seed-0"], cells[f"{TASK}/warm_start/seed-0"]
    newest = max((source.path / "checkpoints").iterdir())
    (newest / "learner.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="expected a source that is trained to its end"):
        _run(cell)
    assert not (cell.path / "metrics.csv").exists()


def test_no_two_processes_write_one_cell(folder: Path, tmp_path: Path) -> None:
    cell = _copied(folder, tmp_path / "out")[f"{TASK}/scratch/seed-1"]
    cell.path.mkdir(parents=True)
    with RunLock(cell.path), pytest.raises(BadInput, match="held by process"):
        run_cell(Job(cell, {}, lock_seconds=0.0))
    assert not (cell.path / "config.toml").exists()


def test_cells_of_other_settings_have_no_rows(folder: Path) -> None:
    assert len(read_rows(_written(folder))) == 4
    assert read_rows(_written(folder, TINY.replace("[8]", "[9]"))) == []


def test_a_full_disk_fails_the_cell_and_not_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = f"{TASK}/scratch/seed-0"

    def ends(key: str, time: int) -> BaseException | None:
        if key != bad:
            return None
        monkeypatch.setattr(benchmark, "write_failures", full)
        return RunFailed("no room")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    launcher = _Launcher(2, ends)
    schedule = _scheduled(tmp_path / "out", launcher)
    assert (len(launcher.begun_keys), set(schedule.failures)) == (8, {bad})
    assert "failures.csv could not be written: [Errno 28] No space left" in capsys.readouterr().err


def test_results_are_those_of_finished_cells_and_the_same_whenever_written(
    folder: Path, tmp_path: Path
) -> None:
    cells = _copied(folder, tmp_path / "out")
    path = _written(tmp_path / "out")
    first = path.read_bytes()
    path.unlink()
    assert _written(tmp_path / "out").read_bytes() == first
    rows = read_rows(path)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["arm"], row["env_steps"], row["zero_shot"]) for row in rows] == [
        ("scratch", "0", "0"),
        ("scratch", "100", "0"),
        ("scratch", "200", "0"),
        ("zero_shot", "0", "1"),
    ]
    cell = cells[f"{TASK}/scratch/seed-0"]
    row = rows[2] | {"place": "2"}
    marker = json.loads((cell.path / "cell.json").read_text())
    assert {name: str(value) for name, value in marker.items() if name != "place"}.items() <= row.items()
    measured = read_rows(cell.path / "metrics.csv")[2]
    for name in ("env_steps", "gradient_steps", "success", "return", "wall_seconds"):
        assert row[name] == measured[name]
    assert row["task"] == "regoal/PointReach-v0 action_gain=0.5"
    assert row["config_hash"] == cell.config_hash


def _row(arm: str, seed: int, env_steps: int, success: float, zero_shot: int = 0) -> dict[str, str]:
    known = {"task": "t", "arm": arm, "seed": seed, "env_steps": env_steps, "success": success}
    return {name: str((known | {"zero_shot": zero_shot}).get(name, "")) for name in COLUMNS}


def test_curves_of_runs_that_were_not_evaluated_at_the_same_steps() -> None:
    rows = [_row("a", 0, *point) for point in ((0, 0.0), (104, 0.2), (203, 0.4), (301, 0.6))]
    rows += [_row("a", 2, *point) for point in ((0, 0.1), (110, 0.3), (300, 0.9))]  # none was due at 200
    rows += [_row("z", 2, 0, 0.5, zero_shot=1)]
    results = Results(tuple(rows))
    assert (results.tasks, results.arms, results.seeds, results.zero_shot) == (
        ["t"],
        ["a", "z"],
        [0, 2],
        {"z"},
    )
    curve = results.curve("t", "a")
    assert curve.steps.tolist() == [0, 104, 203, 301]
    assert curve.success.tolist() == [[0.0, 0.2, 0.4, 0.6], [0.1, 0.3, 0.3, 0.9]]
    constant = results.curve("t", "z")
    assert constant.steps.tolist() == [0, 104, 203, 301]
    assert constant.success.tolist() == [[0.5] * 4]
    assert results.seeds_of("t", "z") == [2]
    with pytest.raises(BadInput, match="none of 'b' in 't'"):
        results.curve("t", "b")


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("task,arm\nt,a\n")
    with pytest.raises(BadInput, match="expected the columns suite, task"):
        read_results(tmp_path / "results.csv")
    with pytest.raises(BadInput, match=r"a results\.csv of `regoal benchmark`"):
        read_results(tmp_path / "none.csv")

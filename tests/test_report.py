"""The report of a benchmark: one file, the right figures, nothing claimed that was not found, nothing run."""

import csv
import json
import re
import shutil
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from regoal.benchmarks import ablation, report_films
from regoal.benchmarks.report import write_report
from regoal.benchmarks.report_data import read_findings
from regoal.benchmarks.report_films import Film
from regoal.benchmarks.report_page import page
from regoal.benchmarks.report_text import headline, remarks
from regoal.benchmarks.results import COLUMNS, DONE
from regoal.cli import main
from regoal.errors import BadInput

SUITE = """
name = "made"
title = "{title}"
seeds = {seeds}
steps = 300
eval_interval = 100
[grid]
env = ["{env}"]
shift = {shifts}
relabel = {relabels}
[baseline]
relabel = "none"
"""
PRETRAINED = SUITE.replace("[grid]", "[pretrain]\nsteps = 100\n[grid]").replace(
    "[baseline]", 'mode = ["warm_start", "zero_shot"]\n[baseline]\nmode = "warm_start"'
)
Runs = Mapping[tuple[str, str, int], Sequence[float]]
GAIN, TURN = "regoal/PointReach-v0 action_gain=0.5", "regoal/PointReach-v0 action_rotation=60"
# Success after 0, 100, 200 and 300 steps, by task, arm and seed.
LEARNED: Runs = {
    (GAIN, "future", 0): [0.0, 0.5, 0.8, 1.0],
    (GAIN, "future", 1): [0.2, 0.9, 0.9, 1.0],
    (TURN, "future", 0): [0.0, 0.1, 0.6, 0.7],
    (TURN, "future", 1): [0.0, 0.0, 0.0, 0.3],
    (GAIN, "none", 0): [0.0, 0.0, 0.1, 0.1],
    (GAIN, "none", 1): [0.1, 0.1, 0.0, 0.2],
    (TURN, "none", 0): [0.0, 0.0, 0.0, 0.0],
    (TURN, "none", 1): [0.0, 0.1, 0.0, 0.0],
}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr", "path", "use"}


class _Page(HTMLParser):
    """What stands in a page: attributes, tables, text, and whether its elements are closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[dict[str, str]] = []  # of the tables that become cards
        self.text = ""
        self._open: list[str] = []
        self._cell: str | None = None
        self.feed(path.read_text())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append({})
        if tag in ("th", "td"):
            self._cell = (dict(attrs).get("data-label") or tag).replace("\u00a0", " ")
            self.rows[-1].setdefault(self._cell, "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag
        if tag in ("th", "td"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.text += data
        if self._cell is not None:
            self.rows[-1][self._cell] += data.replace("\u00a0", " ")

    def row(self, arm: str, label: str) -> dict[str, str]:
        """The first row of an arm that has a cell of that name."""
        return next(row for row in self.rows if row.get("th") == arm and label in row)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def _made(
    out: Path,
    runs: Runs,
    *,
    suite: str = SUITE,
    title: str = "Made by hand",
    env: str = "regoal/PointReach-v0",
    seeds: str = "[0, 1]",
    shifts: str = '["action_gain=0.5", "action_rotation=60"]',
    relabels: str = '["future", "none"]',
    failures: Sequence[tuple[str, str, int]] = (),
    origin: tuple[str, str] = ("c0ffee", "regoal benchmark made"),
) -> Path:
    out.mkdir(parents=True)
    (out / "suite.toml").write_text(
        suite.format(title=title, env=env, seeds=seeds, shifts=shifts, relabels=relabels)
    )
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (task, arm, seed), success in runs.items():
            world, _, shift = task.partition(" ")
            cell = ["made", task, arm, world, shift, "scratch", arm, "ddpg", seed]
            end = [int("zero_shot" in arm), *origin, 0.5]
            end.insert(2, f"hash-{arm[0]}{seed}")
            for point, value in enumerate(success):
                writer.writerow([*cell, 100 * point, point, value, -1, *end])
    with (out / "failures.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("cell", "error", "attempts"), *failures])
    return out


def _area(success: Sequence[float]) -> float:
    return (sum(success) - (success[0] + success[-1]) / 2) / (len(success) - 1)


def _sound(path: Path) -> _Page:
    """A page that stands alone and whose links lead somewhere."""
    found, text = _Page(path), path.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|<link rel=.stylesheet", text)
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for target in [*found.values("href"), *found.values("xlink:href")]:
        assert target == "data:," or target.removeprefix("#") in ids, target
    for target in re.findall(r"url\(#([^)]*)\)", text):
        assert target in ids
    assert all(source.startswith("data:image/") for source in found.values("src"))
    return found


def test_figures_in_the_tables_are_those_of_results_csv(tmp_path: Path) -> None:
    found = _sound(write_report(_made(tmp_path / "out", LEARNED)))
    for arm in ("future", "none"):
        areas = [_area(success) for (_, name, _), success in LEARNED.items() if name == arm]
        finals = [sum(success[-3:]) / 3 for (_, name, _), success in LEARNED.items() if name == arm]
        row = found.row(arm, "AUC, IQM")
        assert row["Mean success over the run (AUC)"].startswith(f"{statistics.mean(areas):.2f} [")
        assert row["Final success"].startswith(f"{statistics.mean(finals):.2f} [")
        # Of four runs the lowest and the highest fall out of the interquartile mean.
        assert row["AUC, IQM"].startswith(f"{statistics.mean(sorted(areas)[1:3]):.2f} [")
        assert row["Final success, IQM"].startswith(f"{statistics.mean(sorted(finals)[1:3]):.2f} [")
    row = found.row("future", "AUC, IQM")
    # At 50 % for two evaluations: from 100, 100, 200 and never; at 80 %: from 200 and 100; at 90 %: from 100.
    assert row["Steps to 50 %"] == "100 (75% of 4)"
    assert row["Steps to 80 %"] == "200 (50% of 4)"
    assert row["Steps to 90 %"] == "> 200 (25% of 4)"  # at 300 alone nothing can be told
    assert row["P(AUC above baseline’s)"].startswith("1.00 [")
    difference = statistics.mean(
        _area(LEARNED[task, "future", seed]) - _area(LEARNED[task, "none", seed])
        for task in (GAIN, TURN)
        for seed in (0, 1)
    )
    assert found.row("future", "Judged")["Difference in AUC"].startswith(f"{difference:+.2f} [")
    # Two seeds, not four pairs: in shifts of one env a seed has the same first weights, noise and goals.
    assert found.row("future", "Judged")["p (to be at most)"] == "0.5 (0.05)"
    assert "Runs of a seed share first weights, noise and goals, so each seed counts once" in found.text


def test_too_few_seeds_are_said_to_be_too_few_and_enough_to_be_enough(tmp_path: Path) -> None:
    few = read_findings(_made(tmp_path / "few", LEARNED))
    assert headline(few).startswith(
        "Too few seeds to claim a difference from none: with 1 arm beside it, 6 pairs"
    )
    many: Runs = {
        (GAIN, arm, seed): [0.0, top + seed / 100, top, top]
        for arm, top in (("future", 0.8), ("none", 0.2))
        for seed in range(8)
    }
    eight = {"seeds": '"0..7"', "shifts": '["action_gain=0.5"]'}
    out = _made(tmp_path / "many", many, **eight)
    assert headline(read_findings(out)) == "future (+0.50) has a higher mean success over the run than none."
    assert _sound(write_report(out)).row("future", "Judged")["Judged"] == "higher"
    other = {"future": "none", "none": "future"}
    turned: Runs = {(task, other[arm], seed): success for (task, arm, seed), success in many.items()}
    out = _made(tmp_path / "turned", turned, **eight)
    assert headline(read_findings(out)) == "future (-0.50) has a lower mean success over the run than none."
    assert _sound(write_report(out)).row("future", "Judged")["Judged"] == "lower"
    same: Runs = {
        (GAIN, arm, seed): [0.0, 0.5, 0.5 + (seed % 2 if arm == "none" else 0.5) / 10, 0.5]
        for arm in ("future", "none")
        for seed in range(8)
    }
    equal = read_findings(_made(tmp_path / "same", same, seeds='"0..7"', shifts='["action_gain=0.5"]'))
    assert headline(equal) == "No difference from none can be claimed of 1 arm, from 8 pairs each."


def test_runs_are_compared_with_those_of_their_seed_where_others_are_missing(tmp_path: Path) -> None:
    runs: Runs = {
        (GAIN, "none", 0): [0.0] * 4,
        (GAIN, "none", 1): [0.5] * 4,
        (GAIN, "future", 1): [0.9] * 4,
        (TURN, "none", 1): [0.5] * 4,
        (TURN, "future", 0): [0.1] * 4,
        (TURN, "future", 1): [0.7] * 4,
    }
    found = read_findings(_made(tmp_path / "out", runs))
    assert {arm.name: (arm.seeds, arm.area.value) for arm in found.overall} == {
        "future": ((1,), pytest.approx(0.8)),
        "none": ((1,), pytest.approx(0.5)),
    }
    assert found.comparisons[0].verdict.difference == pytest.approx(0.3)


def test_what_is_above_the_baseline_over_the_run_may_be_below_it_at_the_end(tmp_path: Path) -> None:
    runs: Runs = {
        (GAIN, arm, seed): success
        for arm, success in (("future", [1.0, 0.9, 0.0, 0.0]), ("none", [0.0, 0.2, 0.5, 0.5]))
        for seed in (0, 1)
    }
    (one,) = read_findings(_made(tmp_path / "out", runs, shifts='["action_gain=0.5"]')).comparisons
    assert (one.area.value, one.final.value) == (1.0, 0.0)


def test_intervals_are_of_their_figure_and_of_seeds_as_a_whole(tmp_path: Path) -> None:
    shifts = [f"action_gain=0.{figure}" for figure in (3, 5, 7)]
    runs: Runs = {
        (f"regoal/PointReach-v0 {shift}", arm, seed): [float(seed)] * 4
        for shift in shifts
        for arm in ("future", "none")
        for seed in (0, 1)
    }
    found = read_findings(_made(tmp_path / "out", runs, shifts=json.dumps(shifts)))
    assert found.whole_seeds
    arm = found.overall[0]
    assert (arm.area.low, arm.area.value, arm.area.high) == (0.0, 0.5, 1.0)  # a seed is one draw, not three
    _, low, high = found.profiles["future"]
    assert (low[:-1].max(), high[:-1].min()) == (0.0, 1.0)
    assert found.comparisons[0].area.value == 0.5
    # Of eight seeds one succeeds. Four of them or more are drawn in 1 % of cases, three or more in 7 %.
    runs = {(GAIN, "none", seed): [float(seed == 3)] * 4 for seed in range(8)}
    out = _made(tmp_path / "eight", runs, seeds='"0..7"', shifts='["action_gain=0.5"]')
    (arm,) = read_findings(out).overall
    assert (arm.area.value, arm.area.low, arm.area.high) == (0.125, 0.0, 0.375)
    assert (arm.area_iqm.value, arm.area_iqm.low, arm.area_iqm.high) == (0.0, 0.0, 0.25)
    assert (arm.final.high, arm.final_iqm.high) == (0.375, 0.25)


def test_a_claim_is_held_against_all_arms_that_were_planned(tmp_path: Path) -> None:
    runs: Runs = {
        (GAIN, f"{arm}-warm_start", seed): success
        for (task, arm, seed), success in LEARNED.items()
        if task == GAIN
    }
    out = _made(tmp_path / "out", runs, suite=PRETRAINED, shifts='["action_gain=0.5"]')
    (one,) = read_findings(out).comparisons
    assert one.verdict.level == pytest.approx(0.05 / 3)  # the two of zero_shot are still to come


def test_tasks_in_different_envs_are_evidence_of_their_own(tmp_path: Path) -> None:
    runs: Runs = {
        (f"{env} action_gain=0.5", arm, seed): [0.0, top, top, top]
        for env in ("regoal/PointReach-v0", "FetchReach-v4", "HandReach-v3")
        for arm, top in (("future", 0.8), ("none", 0.2))
        for seed in (0, 1)
    }
    envs = '", "'.join(dict.fromkeys(task.split(" ")[0] for task, _, _ in runs))
    found = read_findings(_made(tmp_path / "out", runs, env=envs, shifts='["action_gain=0.5"]'))
    assert not found.whole_seeds
    assert found.comparisons[0].verdict.pairs == 6
    # Envs of one kind have the same sizes, and a seed the same first weights there.
    alike = {(key[0].replace("HandReach-v3", "FetchPush-v4"), *key[1:]): some for key, some in runs.items()}
    envs = envs.replace("HandReach-v3", "FetchPush-v4")
    found = read_findings(_made(tmp_path / "alike", alike, env=envs, shifts='["action_gain=0.5"]'))
    assert found.whole_seeds
    assert found.comparisons[0].verdict.pairs == 2


def test_an_arm_whose_runs_break_down_is_not_judged_by_those_that_did_not(tmp_path: Path) -> None:
    runs: Runs = {
        (GAIN, arm, seed): [0.0, top, top, top]
        for arm, top in (("future", 0.8), ("none", 0.2))
        for seed in range(12)
        if arm == "none" or seed > 4
    }
    suite = {"seeds": '"0..11"', "shifts": '["action_gain=0.5"]'}
    assert read_findings(_made(tmp_path / "begun", runs, **suite)).comparisons[0].claim
    cells = [f"regoal_PointReach-v0_action_gain=0.5/future/seed-{seed}" for seed in range(5)]
    out = _made(tmp_path / "out", runs, failures=[(cell, "nan", 1) for cell in cells], **suite)
    found = read_findings(out)
    assert headline(found) == "No difference from none can be claimed of 1 arm, from 7 pairs each."
    page = _sound(write_report(out))
    assert page.row("future", "Judged")["Judged"] == "5 seeds failed"
    assert (
        "- future: 5 seeds failed, so nothing is claimed. Of the others: " in (out / "report.md").read_text()
    )
    assert "Runs broke down, so that seeds are missing beside none, and nothing is claimed: future (5)." in (
        page.text
    )


def test_seeds_without_a_source_are_missing_in_both_arms_alike(tmp_path: Path) -> None:
    runs: Runs = {
        (GAIN, arm, seed): [0.0, top, top, top]
        for arm, top in (("future-warm_start", 0.8), ("none-warm_start", 0.2))
        for seed in range(11)
    }
    lost = [
        (f"regoal_PointReach-v0_action_gain=0.5/{arm}/seed-11", "its source source-x/ddpg/seed-11 failed", 1)
        for arm in ("future-warm_start", "none-warm_start")
    ]
    one = {"seeds": '"0..11"', "shifts": '["action_gain=0.5"]', "suite": PRETRAINED}
    both = read_findings(_made(tmp_path / "both", runs, failures=lost, **one))
    compared = {comparison.name: comparison for comparison in both.comparisons}
    assert compared["future-warm_start"].failed == 0
    alone = read_findings(_made(tmp_path / "alone", runs, failures=lost[:1], **one))
    assert {comparison.name: comparison.failed for comparison in alone.comparisons}["future-warm_start"] == 1


def test_a_baseline_alone_is_not_said_to_be_unfinished(tmp_path: Path) -> None:
    runs = {key: success for key, success in LEARNED.items() if key[1] == "none"}
    assert headline(read_findings(_made(tmp_path / "out", runs))).startswith(
        "No difference is claimed, for no other arm has a seed that is finished where that of the baseline "
        "none is"
    )


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (_made(tmp_path / name, LEARNED) for name in ("one", "other"))
    for out in (one, other):
        write_report(out)
    written = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert {path.suffix for path in written} == {".html", ".md", ".png", ".svg", ".toml", ".csv"}
    for path in written:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    before = (one / "report.html").read_bytes()
    assert main(["report", str(one)]) == 0
    assert (one / "report.html").read_bytes() == before


def test_every_figure_names_what_it_was_made_from_and_is_there_for_papers(tmp_path: Path) -> None:
    out = _made(tmp_path / "out", LEARNED)
    text = write_report(out).read_text()
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    assert len(captions) == 4  # intervals, two tasks, profiles
    for caption in captions:
        assert "regoal benchmark made" in caption
        assert "c0ffee" in caption
        assert re.search(r'href="#origin(-\d)?"', caption)
    assert "0: hash-f0, 1: hash-f1" in text
    links = re.findall(r"\]\((figures/[^)]*)\)", (out / "report.md").read_text())
    assert len(links) == 5  # and the heat map
    for link in links:
        assert (out / link).read_bytes().startswith(b"\x89PNG")
        assert "Date" not in (out / link).with_suffix(".svg").read_text()
        ET.parse((out / link).with_suffix(".svg"))


def test_names_from_files_are_text_and_nothing_else(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    env = f"strange:<img src=x onerror=alert(2)>$x^2$&'{evil}"  # not imported: nobody has named it
    runs: Runs = {(env, arm, seed): [0.0, 1.0] for arm in ("future", f"{evil}:x|`$y_1$") for seed in (0, 1)}
    out = _made(
        tmp_path / "out",
        runs,
        title=f"{evil} ${{title}} $body & '",
        env=env,
        relabels=f'["future", "{evil}:x|`$y_1$", "none"]',
        failures=[(f"a/{evil}/seed-0", f"<b>no</b> {evil}", 3)],
        origin=(f"c{evil}", f"regoal '{evil}'"),
    )
    path = write_report(out)
    found = _sound(path)
    tags = [tag for tag, _, _ in found.attributes]
    assert "script" not in tags
    assert not found.values("onerror")
    assert path.read_text().count("<script>") == 1  # the one of the template
    assert f"{evil} ${{title}} $body & '" in found.text
    assert f"<b>no</b> {evil}" in found.text
    assert "<script" not in re.sub("`[^`]*`", "", (out / "report.md").read_text())  # but in code
    assert "<script" not in "".join(one.read_text() for one in out.glob("figures/*.svg"))


def test_what_failed_and_what_is_missing_is_named(tmp_path: Path) -> None:
    runs = {
        key: success
        for key, success in LEARNED.items()
        if key not in ((TURN, "future", 1), (GAIN, "none", 0))
    }
    cell = "regoal_PointReach-v0_action_rotation=60/future/seed-1"
    out = _made(tmp_path / "out", runs, failures=[(cell, "the arm fell off", 3)])
    found = _sound(write_report(out))
    assert {"th": cell, "Error": "the arm fell off", "Attempts": "3"} in found.rows
    assert f"future in {TURN}: seed 1" in found.text
    assert f"none in {GAIN}: seed 0" in found.text
    assert "2 of 8 cells without results" in found.text
    assert found.row("future", "AUC, IQM")["Seeds"] == "1"  # seed 0 alone is finished in both tasks
    assert found.row("future", "Final success")["Seeds"] == "1"
    # No seed is finished in both arms, so nothing is compared.
    assert "No difference is claimed" in found.text
    assert "the arm fell off" in (out / "report.md").read_text()


def test_a_task_without_results_is_said_to_be_left_out(tmp_path: Path) -> None:
    runs = {key: success for key, success in LEARNED.items() if key[0] == GAIN}
    found = _sound(write_report(_made(tmp_path / "out", runs)))
    assert f"no figure over tasks includes: {TURN}." in found.text
    assert found.row("future", "AUC, IQM")["Seeds"] == "2"


def test_nothing_finished_is_a_report_too(tmp_path: Path) -> None:
    out = _made(tmp_path / "out", {}, failures=[("source/ddpg/seed-0", "broken", 1)])
    found = _sound(write_report(out))
    assert "nothing can be compared yet" in found.text
    assert "8 of 8 cells without results" in found.text
    assert "broken" in found.text


def test_one_seed_in_one_task_has_no_interval(tmp_path: Path) -> None:
    runs = {key: success for key, success in LEARNED.items() if key[0] == GAIN and key[2] == 0}
    out = _made(tmp_path / "out", runs, seeds="[0]", shifts='["action_gain=0.5"]')
    found = _sound(write_report(out))
    row = found.row("future", "AUC, IQM")
    assert row["Mean success over the run (AUC)"] == f"{_area(LEARNED[GAIN, 'future', 0]):.2f} [one seed]"
    assert row["Steps to 80 %"] == "200 (100% of 1)"
    assert "one seed alone" in found.text
    assert "nan" not in found.text.lower()
    assert "Too few seeds" in found.text


def test_an_arm_that_does_not_learn_is_a_constant_and_a_seed_counts_once_where_it_shares_a_source(
    tmp_path: Path,
) -> None:
    runs: dict[tuple[str, str, int], Sequence[float]] = {}
    for (task, arm, seed), success in LEARNED.items():
        runs[task, f"{arm}-warm_start", seed] = success
        runs[task, f"{arm}-zero_shot", seed] = success[-1:]
    out = _made(tmp_path / "out", runs, suite=PRETRAINED)
    found = _sound(write_report(out))
    row = found.row("future-zero_shot", "AUC, IQM")
    # 1.0, 1.0, 0.7 and 0.3 at every step.
    assert row["Mean success over the run (AUC)"].startswith("0.75 [")
    assert row["Final success"].startswith("0.75 [")
    assert row["Steps to 80 %"] == "0 (50% of 4)"
    assert found.row("future-zero_shot", "Judged")["Pairs that differ"] == "2 of 2"  # seeds, not 4 runs
    assert found.row("future-zero_shot", "Judged")["p (to be at most)"] == "0.5 (0.017)"  # 0.05 by 3 arms


def test_arms_are_judged_over_the_steps_that_all_of_them_have(tmp_path: Path) -> None:
    """The same learner, once with twice the steps."""
    long = [0.0, 0.2, 0.4, 1.0, 1.0, 1.0, 1.0]
    runs = dict.fromkeys(LEARNED, long)
    cut = {key: runs[key][:4] if key[1] == "future" else long for key in runs}
    found = read_findings(_made(tmp_path / "out", cut))
    assert {arm.name: arm.area.value for arm in found.overall} == pytest.approx(
        {"future": _area(long[:4]), "none": _area(long[:4])}
    )
    assert any("Arms of a task end at different steps (300, 600)" in said for said in remarks(found))
    (comparison,) = found.comparisons
    assert (comparison.verdict.difference, comparison.area.value) == (0, 0.5)


def test_the_table_of_an_ablation_has_every_arm_beside_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {key: LEARNED[key] for key in LEARNED if key[0] == GAIN}
    out = _made(tmp_path / "out", runs, shifts='["action_gain=0.5"]')
    results = (out / "results.csv").read_text()
    # One of two runs took 90 seconds and not half a second; its earlier evaluations do not count.
    last = next(line for line in results.splitlines() if ",future,ddpg,0,300," in line)
    (out / "results.csv").write_text(results.replace(last, last.removesuffix("0.5") + "90"))
    monkeypatch.setattr("sys.argv", ["ablation", str(out)])
    assert ablation.main() == 0
    _, _, future, none, _, verdict = capsys.readouterr().out.splitlines()
    assert verdict.startswith("Too few seeds to claim a difference from none")
    # Success at the end is that of three evaluations; areas are 0.6 and 0.8, and 0.05 and 0.08 without;
    # those of the first half 0.36 and 0.67, and 0.01 and 0.09 without.
    assert future == (
        "| future | 0.85 [0.77, 0.93] | 0.51 | 0.70 [0.60, 0.80] | +0.63 [+0.55, +0.72] "
        "| 100 (100% of 2) | 0.8 |"
    )
    assert none == "| none | 0.08 [0.07, 0.10] | 0.05 | 0.07 [0.05, 0.08] |  | > 200 (0% of 2) | 0.0 |"
    monkeypatch.setattr("sys.argv", ["ablation", str(_made(tmp_path / "begun", {}))])
    assert ablation.main() == 1
    monkeypatch.setattr("sys.argv", ["ablation", str(tmp_path)])
    assert ablation.main() == 2
    assert "the folder of a benchmark" in capsys.readouterr().err


def test_tasks_of_other_lengths_have_no_common_steps(tmp_path: Path) -> None:
    runs = {key: [*success, *([1.0] if key[0] == GAIN else [])] for key, success in LEARNED.items()}
    found = _sound(write_report(_made(tmp_path / "out", runs)))
    assert found.row("future", "AUC, IQM")["Steps to 80 %"] == "50% of 4"
    assert found.row("future", "Seeds")["Steps to 80 %"] == "50% of 4"
    in_task = [
        row for row in found.rows if row.get("th") == "future" and "Seeds" in row and "AUC, IQM" not in row
    ]
    assert [row["Steps to 80 %"] for row in in_task] == ["100 (100% of 2)", "> 200 (0% of 2)"]


def test_pictures_stand_in_the_page_or_it_says_why_not(tmp_path: Path) -> None:
    found = read_findings(_made(tmp_path / "out", LEARNED))
    film = Film("From start to end.", {"before <1>": ["data:image/jpeg;base64,AA=="] * 6})
    path = tmp_path / "page.html"
    path.write_text(page(found, {GAIN: film, TURN: Film("the run folders are not here.")}))
    shown = _sound(path)
    assert len(shown.values("src")) == 6
    assert "before <1>, picture 6 of 6" in shown.values("alt")
    assert "No pictures: the run folders are not here." in shown.text


def test_runs_that_were_set_aside_are_not_shown(tmp_path: Path) -> None:
    """Beside one that was taken over from another machine, which has no policy to show."""
    for name, files in (
        ("seed-0.begun", ("config.toml", DONE)),
        ("seed-0", (DONE,)),
        ("seed-1", ("config.toml", DONE)),
    ):
        run = tmp_path / "cells" / "task" / "arm" / name
        run.mkdir(parents=True)
        for file in files:
            (run / file).write_text(json.dumps({"task": "task", "arm": "arm", "seed": int(name[5])}))
    assert list(report_films._runs(tmp_path)) == [("task", "arm", 1)]


def test_a_folder_that_is_no_benchmark_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "the folder of a benchmark" in capsys.readouterr().err
    out = _made(tmp_path / "out", LEARNED)
    other = _made(tmp_path / "other", {}, relabels='["final", "none"]')
    shutil.copy(out / "results.csv", other)
    with pytest.raises(BadInput, match="final, none"):
        write_report(other)

"""The guide to shifts is run as it stands, and tells of every family there is."""

import re
from pathlib import Path

from test_docs import ROOT, run_page

from regoal.envs.shift_families import list_families

PAGE = ROOT / "docs" / "shifts.md"


def test_the_guide_runs_and_its_wind_blows(tmp_path: Path) -> None:
    printed = run_page(PAGE, tmp_path)
    moved = [float(found) for found in re.findall(r": (-?[\d.]+) cm", printed[-1])]
    assert len(moved) == 3
    assert abs(moved[0]) < 0.5
    assert 5 < moved[1] < moved[2] - 2
    assert len((tmp_path / "my_shifts.py").read_text().splitlines()) <= 18


def test_the_guide_has_every_family_with_its_unit_and_stage() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in PAGE.read_text().splitlines()]
    for family in list_families():
        assert [f"`{family.name}`", family.unit, family.stage] in rows

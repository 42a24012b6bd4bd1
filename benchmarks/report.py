"""The report of a benchmark, from its folder alone: a page, a Markdown table, and figures for papers."""

from pathlib import Path

import numpy as np

from regoal.benchmarks import report_figures as draw
from regoal.benchmarks import report_text as text
from regoal.benchmarks.cells import folder_name
from regoal.benchmarks.report_data import Findings, read_findings
from regoal.benchmarks.report_films import films
from regoal.benchmarks.report_markdown import markdown
from regoal.benchmarks.report_page import page
from regoal.benchmarks.staging import replace_text

PAGE, MARKDOWN, FIGURES = "report.html", "report.md", "figures"


def write_report(out: Path) -> Path:
    """Write DIR/report.html, DIR/report.md and DIR/figures: the same bytes for the same folder.

    Pictures of policies need the run folders in DIR/cells; all else needs suite.toml, results.csv and
    failures.csv alone.

    Args:
        out: DIR, the folder of a benchmark.

    Returns:
        The page.

    Raises:
        BadInput: it is none.
    """
    found = read_findings(out)
    figures = _figures(found, out / FIGURES)
    replace_text(out / MARKDOWN, markdown(found, figures))
    replace_text(out / PAGE, page(found, films(found, out)))
    return out / PAGE


def _figures(found: Findings, folder: Path) -> list[tuple[str, str]]:
    """Write figures as PNG and SVG; the name and the label of each."""
    if not found.tasks:
        return []
    drawn = []
    if found.overall:
        drawn.append(("intervals", "Success of all arms", draw.draw_intervals(found.overall, found.arms)))
        drawn.append(("profiles", "Performance profiles", draw.draw_profiles(found.profiles, found.arms)))
    final = {(task, arm.name): arm.final.value for task in found.tasks for arm in found.by_task[task]}
    values = np.array([[final.get((task, arm), np.nan) for task in found.tasks] for arm in found.arms])
    heat = draw.draw_heat_map(values, found.arms, list(text.labels(found.tasks).values()))
    drawn.append(("heat-map", "Final success of arms in tasks", heat))
    for task in found.tasks:
        curves = {arm: found.curves[task, arm] for arm in found.arms if (task, arm) in found.curves}
        title = f"Success in {task}"
        drawn.append((f"task-{folder_name(task)}", title, draw.draw_task(curves, found.arms, task)))
    for name, _, figure in drawn:
        draw.save(figure, folder / name)
    return [(name, label) for name, label, _ in drawn]

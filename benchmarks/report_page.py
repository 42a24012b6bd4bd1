"""report.html: one file that needs nothing else, for all screens, dark and light, and for paper."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from regoal.benchmarks import report_text as text
from regoal.benchmarks.report_data import Findings
from regoal.benchmarks.report_figures import draw_intervals, draw_profiles, draw_task, inline, swatch
from regoal.benchmarks.report_films import Film

TEMPLATE = Path(__file__).parent / "report_template.html"
LINKS = {
    "arms": "Arms",
    "judged": "Differences",
    "tasks": "Tasks",
    "profiles": "Profiles",
    "heat": "Heat map",
    "failures": "Not finished",
    "origin": "Origin",
    "notes": "How to read it",
}

NOTES = (
    "<b>Mean success over the run (AUC)</b>: area under the curve of success, divided by its length in "
    "steps; where arms of a task have more steps than others, of those that all have. It counts both how "
    "soon and how well an arm learns. It is the one measure that arms are judged by, so that nobody chooses "
    "among several afterwards.",
    "<b>Final success</b>: mean of the last three evaluations. An arm that does not learn (zero-shot) is "
    "evaluated once, and stands there as a constant.",
    "<b>IQM</b>: mean of the middle half of all runs of an arm (Agarwal and others 2021).",
    "<b>Steps to 50, 80, 90 %</b>: the step from which two evaluations in a row are at it. Until a policy "
    "has learned they are one evaluation repeated, which protects from no luck. The median counts "
    "runs that never were as later than all others; the share says how many were. Where tasks differ in "
    "length, over all tasks there is the share alone.",
    "<b>P(AUC above baseline’s)</b>: chance that a run has more than the baseline’s run of the same seed, "
    "ties half, averaged over tasks, with Wilson’s interval.",
    "<b>A difference is claimed</b> where a sign flip test over the pairs has p at most 0.05 divided by the "
    "number of arms compared, and the 95 % interval of the difference leaves out 0. A pair is an arm’s run "
    "and the baseline’s run of the same seed in a task; where runs of a seed share a source, or tasks a "
    "kind of env, it is their means over tasks.",
    "<b>Intervals</b> are 95 % percentile bootstrap intervals over seeds, within each task.",
)


def page(found: Findings, films: Mapping[str, Film]) -> str:
    """The page, as HTML; all text that comes from files is escaped.

    Args:
        found: what it says.
        films: pictures by task.
    """
    suite = found.suite
    parts = [
        f"<header><h1>{escape(suite.title)}</h1>",
        f'<p class="lede">{escape(text.headline(found))}</p>',
        _list([escape(one) for one in text.remarks(found)], "remarks"),
        f'<p class="quiet">Suite {escape(suite.name)}: {len(found.arms)} arms, '
        f"{found.cells} cells, seeds {escape(', '.join(map(str, suite.seeds)))}, "
        f"{suite.eval_episodes} episodes an evaluation.</p>{_origin(found)}</header>",
        "<nav>" + "".join(f'<a href="#{name}">{label}</a>' for name, label in LINKS.items()) + "</nav>",
        "<main>",
        _arms(found),
        _judged(found),
        _tasks(found, films),
        _profiles(found),
        _heat(found),
        _unfinished(found),
        _hashes(found),
        _notes(found),
        "</main>",
    ]
    template = Template(TEMPLATE.read_text())
    return template.substitute(title=escape(f"{suite.title} – regoal"), body="\n".join(parts))


def _arms(found: Findings) -> str:
    if not found.overall:
        return _section("arms", "No arm has a seed that is finished in every task.")
    compared = {one.name: one for one in found.comparisons}
    rows = [
        (_arm(found, arm.name), text.over_tasks(arm, compared.get(arm.name), found.baseline))
        for arm in found.overall
    ]
    tasks = "the task" if len(found.tasks) == 1 else f"all {len(found.tasks)} tasks"
    picture = inline(draw_intervals(found.overall, found.arms), "intervals", "Intervals of all arms")
    return _section(
        "arms",
        _table(f"Over {tasks}, with 95 % intervals; steps are medians, with the runs that got there.", rows),
        _figure(
            found,
            picture,
            "Circle: mean success over the run. Diamond: final success. Means over tasks and seeds, with "
            "95 % intervals.",
        ),
    )


def _judged(found: Findings) -> str:
    if not found.comparisons:
        return _section("judged", f"<p>{escape(text.headline(found))}</p>")
    rows = [(_arm(found, one.name), text.judged(one)) for one in found.comparisons]
    caption = f"Each arm beside the baseline {found.baseline}, seed by seed, judged by {text.JUDGED}."
    return _section("judged", _table(caption, rows))


def _tasks(found: Findings, films: Mapping[str, Film]) -> str:
    short = text.labels(found.tasks)
    panels = []
    for place, task in enumerate(found.tasks):
        curves = {arm: found.curves[task, arm] for arm in found.arms if (task, arm) in found.curves}
        picture = inline(draw_task(curves, found.arms, ""), f"task{place}", f"Success in {escape(task)}")
        legend = [swatch(found.arms.index(arm)) + escape(arm) for arm in curves]
        rows = [(_arm(found, arm.name), text.in_task(arm)) for arm in found.by_task[task]]
        panels.append(
            f'<section class="panel" id="task-{place}">'
            f'<h3 data-short="{escape(short[task])}">{escape(task)}</h3>'
            + _figure(
                found,
                picture,
                "Mean success of the seeds; bands are 95 % intervals over seeds.",
                _list(legend, "legend"),
                f"origin-{place}",
            )
            + _table("In this task alone.", rows)
            + _film(found, films[task], place)
            + "</section>"
        )
    return _section("tasks", f'<div data-tabs="Tasks">{"".join(panels) or "No cell is finished."}</div>')


def _film(found: Findings, film: Film, place: int) -> str:
    if not film.pictures:
        return f'<p class="quiet">No pictures: {escape(film.note)}</p>'
    rows = "".join(
        f'<p>{escape(label)}</p><div class="strip">'
        + "".join(
            f'<img src="{source}" alt="{escape(label)}, picture {number} of {len(sources)}">'
            for number, source in enumerate(sources, 1)
        )
        + "</div>"
        for label, sources in film.pictures.items()
    )
    caption = f"<figcaption>{escape(film.note)} {_origin(found, f'origin-{place}')}</figcaption>"
    return f'<figure class="film">{rows}{caption}</figure>'


def _profiles(found: Findings) -> str:
    if not found.profiles:
        return _section("profiles", "<p>No arm has a seed that is finished in every task.</p>")
    picture = inline(draw_profiles(found.profiles, found.arms), "profile", "Performance profiles")
    legend = [swatch(found.arms.index(arm)) + escape(arm) for arm in found.profiles]
    words = (
        "Share of runs, over all tasks, whose final success is above τ; bands are 95 % intervals at each τ."
    )
    return _section("profiles", _figure(found, picture, words, _list(legend, "legend")))


def _heat(found: Findings) -> str:
    short = text.labels(found.tasks)
    head = "".join(f'<th scope="col">{_name(short[task])}</th>' for task in found.tasks)
    figures = {(task, arm.name): arm for task in found.tasks for arm in found.by_task[task]}
    rows = []
    for arm in found.arms:
        cells = []
        for task in found.tasks:
            one = figures.get((task, arm))
            value = one.final.value if one else math.nan
            shade = "" if one is None else f' style="background: rgba(var(--heat), {0.65 * value:.2f})"'
            cells.append(f"<td{shade}>{'–' if one is None else f'{value:.2f}'}</td>")
        rows.append(f'<tr><th scope="row">{_name(arm)}</th>{"".join(cells)}</tr>')
    table = (
        f'<div class="wide" tabindex="0" role="group" aria-label="Heat map"><table class="heat">'
        f"<caption>Final success, mean of the finished seeds.</caption>"
        f'<thead><tr><th scope="col">Arm</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
    return _section("heat", table, f'<div class="quiet">{_origin(found)}</div>')


def _unfinished(found: Findings) -> str:
    failed = [
        (escape(one.cell), [("Error", one.error), ("Attempts", str(one.attempts))]) for one in found.failures
    ]
    missing: dict[str, list[str]] = {}
    for task, arm, seed in found.unfinished:
        missing.setdefault(f"{arm} in {task}", []).append(str(seed))
    parts = [_table("Cells that failed.", failed)] if failed else ["<p>No cell failed.</p>"]
    if missing:
        parts.append("<p>Cells without results:</p>")
        parts.append(_list([escape(f"{name}: seed {', '.join(seeds)}") for name, seeds in missing.items()]))
    else:
        parts.append(f"<p>All {found.cells} cells are finished.</p>")
    return _section("failures", *parts)


def _hashes(found: Findings) -> str:
    parts = [
        _origin(found),
        "<p>The hash of each cell’s settings, as in <code>results.csv</code>; its run folder holds them in "
        "full.</p>",
    ]
    for place, task in enumerate(found.tasks):
        rows = [
            (
                _arm(found, arm),
                [("Config hash of each seed", ", ".join(f"{seed}: {one}" for seed, one in known))],
            )
            for arm in found.arms
            if (known := text.hashes(found, task, arm))
        ]
        parts.append(f'<h3 id="origin-{place}">{escape(task)}</h3>{_table("", rows)}')
    return _section("origin", *parts)


def _notes(found: Findings) -> str:
    return _section("notes", _list(NOTES))


def _section(name: str, *parts: str) -> str:
    return f'<section id="{name}"><h2>{LINKS[name]}</h2>{"".join(parts)}</section>'


def _arm(found: Findings, name: str) -> str:
    return swatch(found.arms.index(name)) + _name(name)


def _name(name: str) -> str:
    """A name as HTML, that may be broken where its parts are joined."""
    return re.sub(r"([-_,=/])", r"\1<wbr>", escape(name))


def _table(caption: str, rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """A table that becomes a list of cards where there is no room; first cells are HTML, others are text."""
    head = "".join(f'<th scope="col">{escape(label.strip())}</th>' for label, _ in rows[0][1])
    body = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(f'<td data-label="{escape(label.strip())}">{escape(cell)}</td>' for label, cell in cells)
        + "</tr>"
        for name, cells in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<table class="rows">{title}<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def _figure(found: Findings, picture: str, words: str, legend: str = "", place: str = "origin") -> str:
    caption = f"<figcaption>{words} {_origin(found, place)}</figcaption>"
    return f'<figure class="plot">{picture}{legend}{caption}</figure>'


def _origin(found: Findings, place: str = "origin") -> str:
    command, commit = text.origin(found)
    if not command:
        return ""
    hashes = f'<a href="#{place}">config hashes</a>'
    made = f"<code>{escape(command)}</code>, commit <code>{escape(commit)}</code>"
    return f'<span class="quiet">From {made}, {hashes}.</span>'


def _list(items: Iterable[str], kind: str = "") -> str:
    held = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{kind}">{held}</ul>' if held else ""

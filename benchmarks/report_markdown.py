"""report.md: the headline, the tables and the figures of a report, for a repository or a paper's draft."""

import re
from collections.abc import Sequence

from regoal.benchmarks import report_text as text
from regoal.benchmarks.report_data import Findings


def markdown(found: Findings, figures: Sequence[tuple[str, str]]) -> str:
    """The report as Markdown; what comes from files is escaped.

    Args:
        found: what it says.
        figures: file below figures/, without its ending, and what it shows.
    """
    command, commit = text.origin(found)
    parts = [f"# {_safe(found.suite.title)}", f"**{_safe(text.headline(found))}**"]
    parts += ["\n".join(f"- {_safe(one)}" for one in text.remarks(found))]
    if command:
        parts.append(
            f"From `{_code(command)}`, commit `{_code(commit)}`; config hashes are in `results.csv`. "
            "Intervals are 95 %."
        )
    compared = {one.name: one for one in found.comparisons}
    if found.overall:
        rows = [
            (arm.name, text.over_tasks(arm, compared.get(arm.name), found.baseline)) for arm in found.overall
        ]
        parts.append(
            _table(["Arm", *(label for label, _ in rows[0][1])], [[n, *(c for _, c in r)] for n, r in rows])
        )
    if found.comparisons:
        parts.append(f"## Beside the baseline {_safe(str(found.baseline))}")
        parts.append("\n".join(f"- {_safe(one.name)}: {_safe(str(one))}" for one in found.comparisons))
    if found.tasks:
        parts.append("## Final success in each task")
        figures_of = {(task, arm.name): arm for task in found.tasks for arm in found.by_task[task]}
        parts.append(
            _table(
                ["Arm", *text.labels(found.tasks).values()],
                [
                    [
                        arm,
                        *(
                            text.number(figures_of[task, arm].final) if (task, arm) in figures_of else "–"
                            for task in found.tasks
                        ),
                    ]
                    for arm in found.arms
                ],
            )
        )
    parts += [f"![{_safe(label)}](figures/{name}.png)" for name, label in figures]
    if found.failures or found.unfinished:
        parts.append("## Not finished")
        lines = [f"- failed: {_safe(one.cell)}: {_safe(one.error)}" for one in found.failures]
        lines += [
            f"- no results: {_safe(arm)} in {_safe(task)}, seed {seed}"
            for task, arm, seed in found.unfinished
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_safe(cell) for cell in line)} |" for line in lines)


def _safe(text: str) -> str:
    """Text that is read as text: no HTML, links, emphasis or cells of its own."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|!\[\]])", r"\\\1", plain)


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")

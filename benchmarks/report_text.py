"""What a report says in words, and how it writes figures; plain text, that every form escapes as it must."""

import math
from collections import Counter
from collections.abc import Sequence

from regoal.benchmarks.comparisons import Verdict
from regoal.benchmarks.measures import Reached
from regoal.benchmarks.report_data import Findings
from regoal.benchmarks.report_scores import THRESHOLDS, Arm, Comparison, Estimate

NAMED = 3  # arms in a headline; more are counted
JUDGED = "mean success over the run"


def headline(found: Findings) -> str:
    """What was found, in a sentence: nothing that the seeds do not bear."""
    if not found.overall:
        return "No arm has a seed that is finished in every task, so nothing can be compared yet."
    best = max(found.overall, key=lambda arm: arm.area.value)
    if not found.comparisons:
        return (
            f"No difference is claimed, for {_why_nothing_is_compared(found)}; {best.name} has the highest "
            f"{JUDGED}, {number(best.area)}."
        )
    higher = [one for one in found.comparisons if one.claim and one.verdict.difference > 0]
    lower = [one for one in found.comparisons if one.claim and one.verdict.difference < 0]
    others = len(found.comparisons) - len(higher) - len(lower)
    said = [
        f"{_named(some)} {'has' if len(some) == 1 else 'have'} a {word} {JUDGED} than {found.baseline}"
        for some, word in ((higher, "higher"), (lower, "lower"))
        if some
    ]
    if said:
        rest = f"; of {_arms(others)} no difference can be claimed" if others else ""
        return "; ".join(said) + rest + "."
    if all(one.verdict.too_few for one in found.comparisons):
        return (
            f"Too few seeds to claim a difference from {found.baseline}: with {_arms(others)} beside it, "
            f"{found.comparisons[0].verdict.needed} pairs of a seed’s runs must differ to show one, and "
            f"{'at most ' if others > 1 else ''}{max(one.verdict.differing for one in found.comparisons)} do."
        )
    pairs = _range([one.verdict.pairs for one in found.comparisons])
    return f"No difference from {found.baseline} can be claimed of {_arms(others)}, from {pairs} pairs each."


def remarks(found: Findings) -> list[str]:
    """What must be known to read the figures."""
    said = []
    if found.comparisons and not any(one.claim for one in found.comparisons):
        best = max(found.overall, key=lambda arm: arm.area.value)
        base = next(arm for arm in found.overall if arm.name == found.baseline)
        said.append(
            f"Seen but not claimed: the highest {JUDGED} is that of {best.name}, {number(best.area)}; the "
            f"baseline has {number(base.area)}."
        )
    if found.unfinished:
        count = len(found.unfinished)
        said.append(
            f"{count} of {found.cells} cells without results. Figures over tasks are of those seeds of an "
            "arm that are finished in every task."
        )
    broken = [f"{one.name} ({one.failed})" for one in found.comparisons if one.failed]
    if broken:
        said.append(
            f"Runs broke down, so that seeds are missing beside {found.baseline}, and nothing is claimed: "
            f"{', '.join(broken)}."
        )
    absent = list(dict.fromkeys(task for task, _, _ in found.unfinished if task not in found.tasks))
    if absent and found.tasks:
        said.append(f"Nothing is finished in, and no figure over tasks includes: {'; '.join(absent)}.")
    overall = {arm.name for arm in found.overall}
    gone = [name for name in found.arms if name not in overall]
    if gone and found.overall:
        said.append(
            f"No seed is finished in every task, so there are no figures over tasks: {', '.join(gone)}."
        )
    numbers = {len(arm.seeds) for arm in found.overall}
    if numbers == {1}:
        said.append("There is one seed alone: nothing tells how much another would differ.")
    elif numbers and min(numbers) < 10:
        said.append(
            f"With {_range(sorted(numbers))} seeds, 95 % bootstrap intervals are too narrow; whether arms "
            "differ is judged by a test and not by them."
        )
    if found.whole_seeds and found.overall:
        said.append(
            f"Runs of a seed share {found.whole_seeds}, so each seed counts once in intervals and in the "
            "test."
        )
    if ends := _unequal_ends(found):
        said.append(
            f"Arms of a task end at different steps ({ends}): final success is that of each arm’s own end, "
            "and profiles with it; mean success over the run is of the steps that all have."
        )
    if len({row["commit"] for row in found.results.rows}) > 1:
        said.append("Cells were run at different commits; they are listed with the config hashes.")
    return said


def origin(found: Findings) -> tuple[str, str]:
    """The command and the commits behind the results."""
    rows = found.results.rows
    cells = {(row["task"], row["arm"], row["seed"]): row for row in rows}.values()
    commands = ", ".join(dict.fromkeys(row["command"] for row in cells))
    commits = Counter(row["commit"] for row in cells)
    if len(commits) == 1:
        return commands, next(iter(commits))
    return commands, ", ".join(f"{commit} ({count} cells)" for commit, count in commits.items())


def hashes(found: Findings, task: str, arm: str) -> list[tuple[str, str]]:
    """(seed, config hash) of the finished cells of an arm in a task."""
    rows = [row for row in found.results.rows if row["task"] == task and row["arm"] == arm]
    return list(dict.fromkeys((row["seed"], row["config_hash"]) for row in rows))


def labels(tasks: Sequence[str]) -> dict[str, str]:
    """Short names of tasks: without the env where all have the same."""
    if len({task.split(" ")[0] for task in tasks}) > 1 or len(tasks) == 1:
        return {task: task for task in tasks}
    return {task: task.partition(" ")[2] or "no shift" for task in tasks}


def number(one: Estimate) -> str:
    """A share with its interval."""
    interval = "one\u00a0seed" if math.isnan(one.low) else f"{one.low:.2f},\u00a0{one.high:.2f}"
    return f"{one.value:.2f} [{interval}]"


def difference(test: Verdict) -> str:
    """A mean difference with its interval."""
    interval = "one\u00a0seed" if math.isnan(test.low) else f"{_signed(test.low)},\u00a0{_signed(test.high)}"
    return f"{_signed(test.difference)} [{interval}]"


def steps(one: Reached, one_budget: bool) -> str:
    """Median steps and the share of runs that got there; the share alone where steps do not compare."""
    share = f"{one.share:.0%}\u00a0of\u00a0{one.runs}"
    if not one_budget:
        return share
    median = f"{one.median:,.0f}" if math.isfinite(one.median) else f">\u00a0{one.last_step:,.0f}"
    return f"{median} ({share})"


def judged(one: Comparison) -> list[tuple[str, str]]:
    """A row of the table of differences: heading and text."""
    test, word = one.verdict, "no difference claimed"
    if one.failed:
        word = f"{one.failed} {'seed' if one.failed == 1 else 'seeds'} failed"
    elif test.claim:
        word = "higher" if test.difference > 0 else "lower"
    elif test.too_few:
        word = "too few seeds"
    return [
        ("Judged", word),
        ("Difference in AUC", difference(test)),
        ("p (to be at most)", f"{test.p:.2g} ({test.level:.2g})"),
        ("Pairs that differ", f"{test.differing} of {test.pairs}"),
        ("P(AUC above baseline’s)", number(one.area)),
        ("P(final success above)", number(one.final)),
    ]


def in_task(arm: Arm) -> list[tuple[str, str]]:
    """A row of the table of a task: heading and text."""
    return [
        ("Mean success over the run (AUC)", number(arm.area)),
        ("Final success", number(arm.final)),
        *(
            (f"Steps to {100 * share:.0f}\u00a0%", steps(one, arm.one_budget))
            for share, one in zip(THRESHOLDS, arm.steps, strict=True)
        ),
        ("Seeds", str(len(arm.seeds))),
    ]


def over_tasks(arm: Arm, comparison: Comparison | None, baseline: str | None) -> list[tuple[str, str]]:
    """A row of the table over all tasks: heading and text."""
    area, final, *rest, seeds = in_task(arm)
    improved = "baseline" if arm.name == baseline else number(comparison.area) if comparison else "–"
    return [
        area,
        ("AUC, IQM", number(arm.area_iqm)),
        final,
        ("Final success, IQM", number(arm.final_iqm)),
        *rest,
        ("P(AUC above baseline’s)", improved),
        seeds,
    ]


def _unequal_ends(found: Findings) -> str:
    """The last steps of arms, where those of a task differ by more than an evaluation.

    Arms that do not learn have none; where episodes end early the last steps are never quite the same.
    """
    unequal: set[int] = set()
    for task in found.tasks:
        steps = [
            curve.steps for (of, _), curve in found.curves.items() if of == task and len(curve.steps) > 1
        ]
        ends = {int(one[-1]) for one in steps}
        if ends and max(ends) - min(ends) > max(one[-1] - one[-2] for one in steps):
            unequal |= ends
    return ", ".join(f"{end:,}" for end in sorted(unequal))


def _why_nothing_is_compared(found: Findings) -> str:
    if found.baseline is None:
        return "the suite names no baseline"
    if found.baseline not in {arm.name for arm in found.overall}:
        return f"the baseline {found.baseline} is not finished"
    return f"no other arm has a seed that is finished where that of the baseline {found.baseline} is"


def _named(some: list[Comparison]) -> str:
    ordered = sorted(some, key=lambda one: -abs(one.verdict.difference))
    texts = [f"{one.name} ({_signed(one.verdict.difference)})" for one in ordered[:NAMED]]
    if len(some) > NAMED:
        texts.append(_arms(len(some) - NAMED, "more "))
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0:+.2f}"  # + 0: no -0.00


def _arms(count: int, kind: str = "") -> str:
    return f"{count} {kind}{'arm' if count == 1 else 'arms'}"


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"

"""What a report says, as numbers: read from the folder of a benchmark, worked out once for all its forms."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regoal.benchmarks.benchmark_folder import SUITE, Failure, read_failures
from regoal.benchmarks.curves import Curve
from regoal.benchmarks.grid import Suite
from regoal.benchmarks.measures import final_success
from regoal.benchmarks.report_scores import Arm, Comparison, Table
from regoal.benchmarks.results import RESULTS, Results, read_results
from regoal.benchmarks.statistics import Floats, performance_profile
from regoal.benchmarks.suite import arms_of, baseline_of, load_suite, tasks_of
from regoal.errors import BadInput

PROFILE = np.linspace(0, 1, 51)


@dataclass(frozen=True)
class Findings:
    """All that a report says.

    Attributes:
        suite: what was compared.
        results: its rows.
        tasks: those with a finished cell, in the order of the suite.
        arms: all of the suite's, in its order.
        curves: by task and arm, where a cell is finished.
        overall: arms over all tasks, those with a seed that is finished in each.
        by_task: arms in one task.
        baseline: the arm that others are compared with, if the suite names one.
        comparisons: others, in the order of the suite.
        profiles: share of runs above each of `PROFILE`, with bounds, of the arms in `overall`.
        failures: cells that failed.
        unfinished: (task, arm, seed) without results.
        cells: how many cells with results there should be.
        whole_seeds: why a seed counts once, whatever the number of tasks; empty where its runs in different
            tasks are independent.
    """

    suite: Suite
    results: Results
    tasks: list[str]
    arms: list[str]
    curves: dict[tuple[str, str], Curve]
    overall: list[Arm]
    by_task: dict[str, list[Arm]]
    baseline: str | None
    comparisons: list[Comparison]
    profiles: dict[str, tuple[Floats, Floats, Floats]]
    failures: list[Failure]
    unfinished: list[tuple[str, str, int]]
    cells: int
    whole_seeds: str


def read_findings(out: Path) -> Findings:
    """Read a benchmark and work out all figures; the same folder gives the same figures.

    Args:
        out: DIR, its folder; cells may be missing, and their run folders too.

    Raises:
        BadInput: there is no suite.toml or results.csv in it, or one that does not belong there.
    """
    if not (out / SUITE).is_file():
        raise BadInput("report", f"the folder of a benchmark, with {SUITE} and {RESULTS}", str(out))
    suite, results = load_suite(out / SUITE), read_results(out / RESULTS)
    arms = [arm.name for arm in arms_of(suite)]
    planned = _tasks(suite, results)
    for kind, known, there in (("arms", arms, results.arms), ("tasks", planned, results.tasks)):
        for name in there:
            if name not in known:
                raise BadInput(str(out / RESULTS), f"{kind} of {SUITE}: {', '.join(known)}", repr(name))
    tasks = [name for name in planned if name in results.tasks]
    curves = {
        (task, arm): results.curve(task, arm) for task in tasks for arm in arms if results.seeds_of(task, arm)
    }
    shared, chosen = _shared_by_a_seed(suite, results, tasks), baseline_of(suite)
    whole = bool(shared)
    failures = list(read_failures(out).values())
    table = Table(results, curves, failures)
    overall = [table.arm(name, tasks, whole) for name in arms if table.seeds(name, tasks)]
    expected = [(task, arm, seed) for task in planned for arm in arms for seed in suite.seeds]
    done = {(row["task"], row["arm"], int(row["seed"])) for row in results.rows}
    return Findings(
        suite=suite,
        results=results,
        tasks=tasks,
        arms=arms,
        curves=curves,
        overall=overall,
        by_task={
            task: [table.arm(name, [task], whole) for name in arms if (task, name) in curves]
            for task in tasks
        },
        baseline=chosen.name if chosen else None,
        comparisons=table.comparisons(arms, chosen.name, tasks, whole) if chosen else [],
        profiles={
            arm.name: performance_profile(
                table.scores(arm.name, tasks, arm.seeds, final_success),
                PROFILE,
                np.random.default_rng(0),
                whole_seeds=whole,
            )
            for arm in overall
        },
        failures=failures,
        unfinished=[cell for cell in expected if cell not in done],
        cells=len(expected),
        whole_seeds=shared,
    )


def _shared_by_a_seed(suite: Suite, results: Results, tasks: list[str]) -> str:
    """What the runs of a seed have in common in different tasks; empty if nothing but its number.

    All draws of a run come from its seed: in one env, shifted this way and that, runs of a seed begin with
    the same weights, explore with the same noise and are asked for the same goals; in envs of one kind, such
    as FetchPush and FetchSlide, still nearly so.
    """
    if suite.pretrain is not None:
        return "a source"
    kinds = {row["task"]: _kind(row["env"]) for row in results.rows}
    return "" if len({kinds[task] for task in tasks}) == len(tasks) else "first weights, noise and goals"


def _kind(env_id: str) -> str:
    """The first word of the name of an env: Fetch of FetchPush-v4."""
    name = re.split(r"[:/]", env_id)[-1]
    found = re.match(r"[A-Z]?[a-z]*", name)
    return found[0] if found and found[0] else name


def _tasks(suite: Suite, results: Results) -> list[str]:
    """Names of the suite's tasks; of those with results where its modules may not be imported here."""
    try:
        return [task.name for task in tasks_of(suite)]
    except BadInput:
        return results.tasks

"""What a report says, as numbers: read from the folder of a benchmark, worked out once for all its forms."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from regoal.benchmarks.benchmark_folder import LOST_SOURCE, SUITE, Failure, read_failures
from regoal.benchmarks.cells import folder_name
from regoal.benchmarks.comparisons import Verdict, enough_seeds, probability_of_improvement
from regoal.benchmarks.curves import Curve, up_to
from regoal.benchmarks.grid import Suite
from regoal.benchmarks.measures import Reached, area, final_success, last_told, reached, steps_to_threshold
from regoal.benchmarks.results import RESULTS, Results, read_results
from regoal.benchmarks.statistics import Floats, iqm, mean, performance_profile, stratified_bootstrap
from regoal.benchmarks.suite import arms_of, baseline_of, load_suite, tasks_of
from regoal.errors import BadInput

THRESHOLDS = (0.5, 0.8, 0.9)  # of success, that steps are counted to
PROFILE = np.linspace(0, 1, 51)


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval, nan where there is one run alone."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Arm:
    """What an arm did in one task, or over all of them.

    Attributes:
        name: of the arm.
        seeds: those whose cells are finished in every task that is meant.
        final: mean success of the last evaluations.
        area: mean success over the run, as far as all arms of a task have run.
        final_iqm, area_iqm: their interquartile means.
        steps: how soon runs reached each of `THRESHOLDS`.
        one_budget: whether the tasks end at the same step, so that steps of different tasks compare.
    """

    name: str
    seeds: tuple[int, ...]
    final: Estimate
    area: Estimate
    final_iqm: Estimate
    area_iqm: Estimate
    steps: tuple[Reached, ...]
    one_budget: bool


@dataclass(frozen=True)
class Comparison:
    """An arm beside the baseline, over the tasks and the seeds that both have finished.

    Attributes:
        name: of the arm.
        seeds: that both have.
        failed: how many that one of them lacks because a run broke down, and not the source of both. Then
            nothing is claimed: to break down is an outcome, and those that did not are a choice among all.
        verdict: on mean success over the run, the one measure that arms are judged by.
        area: chance that a run has more of it than the baseline's run of that seed.
        final: the same of final success.
    """

    name: str
    seeds: tuple[int, ...]
    failed: int
    verdict: Verdict
    area: Estimate
    final: Estimate

    @property
    def claim(self) -> bool:
        """The arms may be said to differ."""
        return self.verdict.claim and not self.failed

    def __str__(self) -> str:
        if not self.failed:
            return str(self.verdict)
        seeds = "seed" if self.failed == 1 else "seeds"
        return f"{self.failed} {seeds} failed, so nothing is claimed. Of the others: {self.verdict}"


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


@dataclass(frozen=True)
class Table:
    """Scores of finished runs, as arrays (seeds, tasks) without gaps."""

    results: Results
    curves: dict[tuple[str, str], Curve]
    failures: list[Failure]

    def seeds(self, arm: str, tasks: list[str]) -> tuple[int, ...]:
        """Seeds of an arm that are finished in every one of the tasks."""
        finished = [self.results.seeds_of(task, arm) for task in tasks]
        return tuple(seed for seed in self.results.seeds if finished and all(seed in one for one in finished))

    def failed_in_one(self, arm: str, other: str, tasks: list[str]) -> int:
        """Seeds that broke down in one of the tasks, but for those that both lack for want of a source."""
        (ours, lost), (theirs, other_lost) = (self._failed(name, tasks) for name in (arm, other))
        return len((ours | theirs) - (lost & other_lost))

    def _failed(self, arm: str, tasks: list[str]) -> tuple[set[str], set[str]]:
        """Seeds of an arm that broke down in one of the tasks, and those of them that lost their source."""
        begin = tuple(f"{folder_name(task)}/{folder_name(arm)}/" for task in tasks)
        mine = [one for one in self.failures if one.cell.startswith(begin)]
        seeds = {one.cell.rpartition("/")[2] for one in mine}
        return seeds, {one.cell.rpartition("/")[2] for one in mine if one.error.startswith(LOST_SOURCE)}

    def scores(
        self,
        arm: str,
        tasks: list[str],
        seeds: tuple[int, ...],
        measure: Callable[[Curve], Floats],
        *,
        shared: bool = False,
    ) -> Floats:
        """(seeds, tasks) a measure of the runs of an arm, or of as much of them as all arms have run."""
        columns = []
        for task in tasks:
            rows, curve = self.results.seeds_of(task, arm), self.curves[task, arm]
            of_runs = measure(up_to(curve, self.shared_steps(task)) if shared else curve)
            columns.append(of_runs[[rows.index(seed) for seed in seeds]])
        return np.stack(columns, axis=1)

    def shared_steps(self, task: str) -> float:
        """Env steps that all arms of a task have run: areas over other spans do not compare.

        Arms that were evaluated once have no area, and do not cut those of others.
        """
        ends = [
            float(curve.steps[-1])
            for (of, _), curve in self.curves.items()
            if of == task and len(curve.steps) > 1
        ]
        return min(ends, default=math.inf)

    def arm(self, name: str, tasks: list[str], whole: bool) -> Arm:
        """The figures of an arm over tasks."""
        seeds = self.seeds(name, tasks)
        final = self.scores(name, tasks, seeds, final_success)
        over_run = self.scores(name, tasks, seeds, mean_success, shared=True)
        ends = {float(self.curves[task, name].steps[-1]) for task in tasks}
        last = min(last_told(self.curves[task, name].steps) for task in tasks)
        steps = [
            self.scores(name, tasks, seeds, lambda curve, at=at: steps_to_threshold(curve, at))  # type: ignore[misc]
            for at in THRESHOLDS
        ]
        return Arm(
            name=name,
            seeds=seeds,
            final=estimate(final, mean, whole),
            area=estimate(over_run, mean, whole),
            final_iqm=estimate(final, iqm, whole),
            area_iqm=estimate(over_run, iqm, whole),
            steps=tuple(reached(one.ravel(), last) for one in steps),
            one_budget=len(ends) == 1,
        )

    def comparisons(self, arms: list[str], baseline: str, tasks: list[str], whole: bool) -> list[Comparison]:
        """Every other arm beside the baseline, over the seeds that both have."""
        shared = {
            name: tuple(seed for seed in self.seeds(name, tasks) if seed in self.seeds(baseline, tasks))
            for name in arms
            if name != baseline
        }
        compared = {name: seeds for name, seeds in shared.items() if seeds}
        found = []
        for name, seeds in compared.items():
            ours, theirs = (
                [
                    self.scores(one, tasks, seeds, mean_success, shared=True),
                    self.scores(one, tasks, seeds, final_success),
                ]
                for one in (name, baseline)
            )
            found.append(
                Comparison(
                    name,
                    seeds,
                    self.failed_in_one(name, baseline, tasks),
                    enough_seeds(
                        ours[0],
                        theirs[0],
                        np.random.default_rng(0),
                        whole_seeds=whole,
                        comparisons=len(shared),  # as many as were planned, finished or not
                    ),
                    Estimate(*probability_of_improvement(ours[0], theirs[0], whole_seeds=whole)),
                    Estimate(*probability_of_improvement(ours[1], theirs[1], whole_seeds=whole)),
                )
            )
        return found


def mean_success(curve: Curve) -> Floats:
    """(runs,) area under the curve by its span; of a run that was evaluated once, its success."""
    return area(curve) if len(curve.steps) > 1 else final_success(curve)


def estimate(scores: Floats, statistic: Callable[[Floats], ArrayLike], whole: bool) -> Estimate:
    """A statistic of scores (seeds, tasks) and its bootstrap interval."""
    low, high = stratified_bootstrap(scores, statistic, np.random.default_rng(0), whole_seeds=whole)
    return Estimate(float(np.asarray(statistic(scores))), float(low), float(high))


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

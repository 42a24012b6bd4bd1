"""Arms of a benchmark as figures: what each did, and how it stands beside the baseline."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from regoal.benchmarks.benchmark_folder import LOST_SOURCE, Failure
from regoal.benchmarks.cells import folder_name
from regoal.benchmarks.comparisons import Verdict, enough_seeds, probability_of_improvement
from regoal.benchmarks.curves import Curve, up_to
from regoal.benchmarks.measures import Reached, area, final_success, last_told, reached, steps_to_threshold
from regoal.benchmarks.results import Results
from regoal.benchmarks.statistics import Floats, iqm, mean, stratified_bootstrap

THRESHOLDS = (0.5, 0.8, 0.9)  # of success, that steps are counted to


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

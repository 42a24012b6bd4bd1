"""Collects and evaluates for a run: in its own process, and in workers beside it if there are any.

Every worker count runs one schedule. Episode i has the same seeds wherever it is played, and episodes
come back in the order of their indices, so what is learned does not depend on who played them. The run's
own process plays what no worker has taken whenever it has nothing better to do.
"""

import contextlib
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.clock import Clock, timed
from regoal.agent.crew import Crew
from regoal.agent.evaluation import Evaluation, Outcome
from regoal.agent.player import Player
from regoal.agent.policy import Policy
from regoal.agent.shared_block import BlockLayout, slot_bytes
from regoal.agent.worker import POLICY_PLACES, Assignment, Report, Task, perform
from regoal.agent.worker_process import START_SECONDS
from regoal.buffers.episode import Episode
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.hang_watch import HangWatch, Hung
from regoal.errors import RunFault, SpoiledEpisode, WorkerFault

MOST_ATTEMPTS = 3  # a task that ends so many workers ends the run
POLL_SECONDS = 0.2  # how soon a dead or hanging worker, or a signal, is noticed while waiting
Spoiled = Callable[[SpoiledEpisode], object]


def told(fault: SpoiledEpisode) -> None:
    """The first fault of an env is the last."""
    raise fault


def _hashable(goal: NDArray[np.float32] | None) -> tuple[float, ...] | None:
    return None if goal is None else tuple(goal.tolist())


class Rollouts:
    """Plays blocks of training episodes and evaluations.

    Use as a context manager: no worker and no memory outlives it.

    Args:
        spec: what to play.
        run_seed: seed of the run.
        policy: any policy of the run, for its shapes.
        block_episodes: most episodes of a block.
        workers: processes beside this one.
        hang_seconds: what takes no step for so long, a worker or an env in this process, is replaced.
        clocks: seconds of this process are added here; nothing is measured if not given.
        helps: whether this process plays too while it waits; without workers it always does.
    """

    def __init__(
        self,
        spec: GoalSpec,
        run_seed: int,
        policy: Policy,
        *,
        block_episodes: int,
        workers: int = 0,
        hang_seconds: float = 60.0,
        clocks: NDArray[np.float64] | None = None,
        helps: bool = True,
    ) -> None:
        self._spec, self._hang_seconds, self._clocks = spec, hang_seconds, clocks
        self._helps = helps or not workers
        self._watch = HangWatch(hang_seconds)
        self._player = Player(spec, run_seed, self._watch.tick, clocks)
        self._policies: dict[str, Policy] = {}
        self._version = 0
        self._block: list[Task] = []
        self._evaluation: list[Task] = []
        self._to_do: dict[str, deque[Task]] = {"collect": deque(), "evaluate": deque()}
        self._done: dict[Task, Report] = {}
        self._attempts: Counter[Task | None] = Counter()
        self._crew: Crew | None = None
        if workers:
            layout = BlockLayout(
                workers, block_episodes, sum(array.size for array in policy.arrays), slot_bytes(spec)
            )
            nothing = np.zeros(0, np.float32)
            assignment = Assignment(
                number=0,
                spec=spec,
                run_seed=run_seed,
                template=replace(policy, weights=(), biases=(), mean=nothing, std=nothing),
                shapes=tuple(array.shape for array in policy.arrays),
                layout=layout,
                profiled=clocks is not None,
            )
            self._crew = Crew(assignment, self._to_do, hang_seconds, self._note, self._count_against)

    def __enter__(self) -> "Rollouts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._crew is not None:
            self._crew.end(kill=kind is not None)
        self._player.close()

    @property
    def has_workers(self) -> bool:
        """Whether anything is played while this process does something else."""
        return self._crew is not None

    def seconds(self) -> NDArray[np.float64]:
        """What this process and its workers have spent on each thing (`Clock`) so far."""
        assert self._clocks is not None, "nothing is measured"
        return self._clocks + (0 if self._crew is None else self._crew.shared.clocks.sum(axis=0))

    def collect(
        self,
        policy: Policy,
        indices: Sequence[int],
        asked: Callable[[int], NDArray[np.float32] | None] = lambda index: None,
    ) -> None:
        """Begin a block of training episodes; the one before must have been taken.

        Args:
            policy: plays them.
            indices: of the episodes.
            asked: gives the goal (goal_size,) that the policy is shown in an episode, where it is not the
                desired one.
        """
        self._begin("collect", policy)
        self._block = [
            Task("collect", index, self._version, slot, asked=_hashable(asked(index)))
            for slot, index in enumerate(indices)
        ]
        self._to_do["collect"].extend(self._block)
        self.poll()

    def episodes(self, spoiled: Spoiled = told) -> Iterator[Episode]:
        """The episodes of the block, in order, as they come; plays those that nobody has taken.

        Args:
            spoiled: called with the fault when the env spoils an episode, which is then played again with
                other seeds; raises the fault if not given.

        Raises:
            TrainingFault: the policy is not finite.
            WorkerFault: an episode has ended one worker after the other.
        """
        for place in range(len(self._block)):
            yield self._whole(self._block, place, spoiled, lambda: None)

    def evaluate(self, policy: Policy, n_episodes: int) -> None:
        """Begin an evaluation; the one before must have been taken."""
        self._begin("evaluate", policy)
        self._evaluation = [Task("evaluate", index, self._version) for index in range(n_episodes)]
        self._to_do["evaluate"].extend(self._evaluation)
        self.poll()

    @property
    def evaluated(self) -> bool:
        """Whether the evaluation has come to its end."""
        return all(task in self._done for task in self._evaluation)

    def evaluation(self, spoiled: Spoiled = told, tick: Callable[[], object] = lambda: None) -> Evaluation:
        """What the evaluation found; plays the episodes that nobody has taken.

        Args:
            spoiled: as for `episodes`.
            tick: called between episodes, and now and then while waiting; it may raise.
        """
        outcomes: list[Outcome] = []
        for place in range(len(self._evaluation)):
            tick()
            outcomes.append(self._whole(self._evaluation, place, spoiled, tick))
        return Evaluation.of(outcomes)

    def poll(self) -> None:
        """See what workers have done and give them more; replace those that died or hang."""
        if self._crew is not None:
            self._crew.poll()

    def _begin(self, kind: str, policy: Policy) -> None:
        self._version += 1
        self._policies[kind] = policy
        for task in self._block if kind == "collect" else self._evaluation:
            self._done.pop(task, None)
        if self._crew is not None:
            self._crew.shared.write_policy(POLICY_PLACES[kind], policy.arrays)

    def _whole(self, tasks: list[Task], place: int, spoiled: Spoiled, tick: Callable[[], object]) -> Any:
        """The result of one of the tasks, attempted until the env does not spoil it."""
        while True:
            try:
                return self._result(tasks[place], tick)
            except SpoiledEpisode as fault:
                fault.attempt = tasks[place].attempt
                spoiled(fault)
                del self._done[tasks[place]]
                tasks[place] = replace(tasks[place], attempt=tasks[place].attempt + 1)
                self._to_do[tasks[place].kind].appendleft(tasks[place])

    def _result(self, task: Task, tick: Callable[[], object]) -> Any:
        """The result of a task, which is waited for or played here."""
        while task not in self._done:
            self.poll()
            if task in self._done:
                break
            if self._helps and self._to_do[task.kind]:
                self._play_here(self._to_do[task.kind].popleft())
            elif self._crew is not None:
                with timed(self._clocks, Clock.WAITING):
                    self._crew.wait(POLL_SECONDS)
            tick()
        report = self._done[task]
        if report.error is not None:
            if isinstance(report.error, RunFault):
                report.error.discarded_steps = report.discarded_steps
            raise report.error
        return report.result

    def _play_here(self, task: Task) -> None:
        try:
            with HangWatch(START_SECONDS):  # to build an env takes longer than any of its steps
                self._player.env(task.kind)
            with self._watch:
                self._done[task] = Report(task, perform(task, self._policies[task.kind], self._player))
        except RunFault as fault:  # kept until the episodes before it have been taken
            self._done[task] = Report(task, error=fault, discarded_steps=fault.discarded_steps)
        except Hung:
            with contextlib.suppress(Hung), self._watch:
                self._player.forget(task.kind)
            self._count_against(task, why := f"took no step for {self._hang_seconds:g} s")
            print(
                f"the env of this process {why}; it is replaced and its episode played again", file=sys.stderr
            )
            self._to_do[task.kind].appendleft(task)

    def _note(self, report: Report) -> None:
        task = report.task
        if task is None:
            if report.error is not None:
                raise report.error
            self._attempts[None] = 0
            return
        if task.kind == "collect" and report.error is None:
            assert self._crew is not None
            report = replace(report, result=self._crew.shared.read_episode(task.slot, report.result))
        self._done[task] = report

    def _count_against(self, culprit: Task | None, why: str) -> None:
        """A task, or building an env where it is None, ended or hung what played it."""
        self._attempts[culprit] += 1
        if self._attempts[culprit] >= MOST_ATTEMPTS:
            what = f"episode {culprit.index}" if culprit else "a new env"
            raise WorkerFault(
                f"{self._spec.recipe.env_id}, {what}",
                "an env that plays it",
                f"{MOST_ATTEMPTS} that did not: the last {why}",
                "Run with --workers 0 to see it happen in this process; --set hang_seconds=... if an env "
                "step may take longer.",
            )

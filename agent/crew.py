"""The rollout workers of a run: given tasks, and replaced when they die or hang."""

import select
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from regoal.agent.shared_block import SharedBlock
from regoal.agent.worker import Assignment, Report, Task
from regoal.agent.worker_process import WorkerProcess, within_limits

# Collecting is what learning waits for, so a worker has the next episode at hand, as long as there are more
# than workers: the last ones are for whoever is free first, the run's own process among them. Evaluations
# fill the gaps.
HELD_AT_ONCE = {"collect": 2, "evaluate": 1}


class Crew:
    """Workers that play beside a run.

    Args:
        assignment: what each is told when it begins, but for its number.
        to_do: tasks that nobody has taken, by their kind; it is the run's, too, which may play some itself.
        hang_seconds: a worker that takes no step for so long is replaced.
        note: called with each report.
        blame: called with what a worker was playing when it died or hung, or None where it was still
            building its env, and with how it ended; may raise.

    Attributes:
        shared: memory that they share with the run.
    """

    def __init__(
        self,
        assignment: Assignment,
        to_do: Mapping[str, deque[Task]],
        hang_seconds: float,
        note: Callable[[Report], None],
        blame: Callable[[Task | None, str], None],
    ) -> None:
        self._assignment, self._to_do, self._hang_seconds = assignment, to_do, hang_seconds
        self._note, self._blame = note, blame
        self._workers: list[WorkerProcess] = []
        with within_limits(assignment.spec.recipe.env_id):
            self.shared = SharedBlock(assignment.layout)
        try:
            for number in range(assignment.layout.n_workers):
                self._workers.append(self._started(number))
        except BaseException:
            self.end(kill=True)
            raise

    def end(self, *, kill: bool) -> None:
        """Let nothing of them be left.

        Args:
            kill: whatever they do, and do not wait until they end by themselves.
        """
        for worker in self._workers:
            if kill:
                worker.kill()
            worker.end()
        self.shared.close()

    def poll(self) -> None:
        """See what they have done and give them more; replace those that died or hang."""
        for number, worker in enumerate(self._workers):
            try:
                while (report := worker.report()) is not None:
                    self._note(report)
            except EOFError:
                code = worker.end()
                why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
                self._replace(number, why)
                continue
            if worker.hangs(self._hang_seconds):
                worker.kill()
                worker.end()
                self._replace(number, f"took no step for {self._hang_seconds:g} s")
        self._hand_out()

    def wait(self, seconds: float) -> None:
        """Wait until one of them reports, so long at most."""
        waiting = select.poll()
        for worker in self._workers:
            waiting.register(worker.descriptor, select.POLLIN)
        waiting.poll(1000 * seconds)

    def _hand_out(self) -> None:
        for kind, most in HELD_AT_ONCE.items():
            free = [worker for worker in self._workers if worker.ready and len(worker.tasks) < most]
            while free and self._to_do[kind]:
                least = min(free, key=lambda worker: len(worker.tasks))
                if least.tasks and len(self._to_do[kind]) <= len(self._workers):
                    break
                least.hand(self._to_do[kind].popleft())
                if len(least.tasks) >= most:
                    free.remove(least)

    def _replace(self, number: int, why: str) -> None:
        """Start another worker in place of one that is gone; what it held is played again."""
        held, ready = self._workers[number].tasks, self._workers[number].ready
        if held or not ready:  # one that died idle is nobody's fault
            self._blame(held[0] if held else None, why)
        print(
            f"rollout worker {number} {why}; it is replaced and its episodes are collected again",
            file=sys.stderr,
        )
        for task in reversed(held):
            self._to_do[task.kind].appendleft(task)
        self._workers[number] = self._started(number)

    def _started(self, number: int) -> WorkerProcess:
        with within_limits(self._assignment.spec.recipe.env_id):
            return WorkerProcess(replace(self._assignment, number=number), self.shared)

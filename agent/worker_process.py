"""The run's end of one rollout worker: starts it, hands it tasks, knows when it died or hangs."""

import contextlib
import multiprocessing
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

from regoal.agent.shared_block import SharedBlock
from regoal.agent.worker import Assignment, Report, Task
from regoal.errors import WorkerFault

START_SECONDS = 300.0  # to import everything and build the env
PATIENCE_SECONDS = 2.0  # for a worker to end by itself when its connection is closed


@contextlib.contextmanager
def within_limits(env_id: str) -> Iterator[None]:
    """Around what the system may refuse: another process, another file.

    Raises:
        WorkerFault: it has.
    """
    try:
        yield
    except OSError as error:
        raise WorkerFault(
            f"{env_id} workers",
            "processes that can be started",
            str(error),
            "Use fewer --workers, or raise the limits (ulimit -n, ulimit -u).",
        ) from error


class WorkerProcess:
    """A worker process that was started, and the tasks it holds.

    It is a new interpreter that imports the worker alone: a user's script is not imported again, so it
    needs no `if __name__ == "__main__"`.

    Args:
        assignment: what it is told when it begins.
        block: the shared memory.

    Attributes:
        tasks: what it was handed and has not reported on, oldest first.
        ready: whether it has built its env.
    """

    def __init__(self, assignment: Assignment, block: SharedBlock) -> None:
        self.number = assignment.number
        self.tasks: list[Task] = []
        self.ready = False
        self._block = block
        self._beat, self._beat_seen = int(block.beats[self.number]), time.monotonic()
        ours, theirs = multiprocessing.Pipe()
        self._connection = ours
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; from regoal.agent.worker import main; "
            f"main({theirs.fileno()}, {block.file})"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), block.file),
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                # A group of its own: Ctrl-C at a terminal asks the run to stop, not its workers.
                process_group=0,
            )
        # A poll object asks the system once; `Connection.poll` would build a selector every time.
        self._waiting = select.poll()
        self._waiting.register(ours, select.POLLIN)
        self._connection.send(assignment)

    @property
    def descriptor(self) -> int:
        """To wait for reports on."""
        return self._connection.fileno()

    def hand(self, task: Task) -> None:
        """Give it a task to play after those it has."""
        if not self.tasks:
            self._beat_seen = time.monotonic()
        self.tasks.append(task)
        with contextlib.suppress(OSError):  # it died; the task is found with the others it held
            self._connection.send(task)

    def report(self) -> Report | None:
        """Its next report, if there is one.

        Raises:
            EOFError: it died.
        """
        if not self._waiting.poll(0):
            return None
        try:
            report: Report = self._connection.recv()
        except OSError as error:
            raise EOFError from error
        self.ready = True
        if report.task is not None:
            self.tasks.remove(report.task)
        self._beat_seen = time.monotonic()
        return report

    def hangs(self, seconds: float) -> bool:
        """Whether it has something to do and has taken no step for so long."""
        beat, now = int(self._block.beats[self.number]), time.monotonic()
        if beat != self._beat or (self.ready and not self.tasks):
            self._beat, self._beat_seen = beat, now
        return now - self._beat_seen > (seconds if self.ready else START_SECONDS)

    def end(self) -> int:
        """Close the connection, kill it if that does not end it; returns its exit code."""
        self._connection.close()
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()

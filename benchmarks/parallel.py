"""Many independent calls on the cores of this machine, one process each."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from regoal.agent.interrupts import Stopped, StopRequest
from regoal.errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_SECONDS = 0.5  # how soon a signal to this process is passed on


class RunFailed(RuntimeError):
    """A call ended in a way that has no better name: an unforeseen exception, or its process died."""


class ProcessDied(RunFailed):
    """The process of a call has ended without a word."""


class NodeLost(ProcessDied):
    """The machine that a call ran on is gone, or out of reach: the call is not to blame."""


class Processes(Generic[Item, Result]):
    """Calls a module-level function on items, each call in a process of its own; a context manager.

    The processes never see SIGINT, which a terminal sends to all, so that they are asked to stop once and not
    twice, and end when this one does, however it ends.

    Args:
        function: may raise; `BadInput` and `Stopped` come back as they are.
        slots: calls at a time that the machine has room for; it is for the caller to mind them.

    Attributes:
        slots: as given.
    """

    def __init__(self, function: Callable[[Item], Result], slots: int) -> None:
        self.slots = slots
        self._function = function
        self._running: dict[Connection, tuple[str, SpawnProcess]] = {}

    def __enter__(self) -> "Processes[Item, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, process in self._running.values():
            process.kill()

    def prepare(self, out: Path) -> None:
        """Nothing: what this process sees of a folder, its children see."""

    def begun(self, key: str) -> bool:
        """Whether a call has a place where it runs, as it has at once."""
        return True

    def start(self, key: str, item: Item) -> None:
        """Begin a call, known by a key that no other running call has."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_call, args=(self._function, item, sender))
        with _one_thread_each(), _deaf_to_interrupts():
            process.start()
        sender.close()  # the child's end is the only one left: when it dies, the pipe ends
        self._running[receiver] = key, process

    def ended(self, timeout: float) -> list[tuple[str, Result | BaseException]]:
        """The calls that have ended, each with what it returned or raised; waits so long for the first.

        One that was asked to stop comes back as `Stopped` if it has saved something.
        """
        if not self._running:
            return []
        found: list[tuple[str, Result | BaseException]] = []
        for receiver in wait(list(self._running), timeout=timeout):
            assert isinstance(receiver, Connection)
            key, process = self._running.pop(receiver)
            found.append((key, _outcome(receiver, process)))
        return found

    def stop(self) -> None:
        """Ask all to stop, and to save what they have."""
        for _, process in self._running.values():
            process.terminate()

    def kill(self, key: str) -> None:
        """End one at once; it comes back as `ProcessDied`."""
        for other, process in self._running.values():
            if other == key:
                process.kill()


def require_jobs(jobs: int) -> None:
    """That there is a process to run anything.

    Raises:
        BadInput: there is none.
    """
    if jobs < 1:
        raise BadInput("jobs", "1 or more", str(jobs))


def run_all(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, label: Callable[[Item], str] = str
) -> list[Result | BaseException]:
    """Call a module-level function on every item, at most `jobs` at a time, each in its own process.

    A call that fails, or whose process dies, does not stop the others: its exception stands in its
    place. After SIGINT or SIGTERM no further call is begun; those that run get SIGTERM and are waited for.

    Args:
        function: may raise; `BadInput` and `Stopped` come back as they are.
        items: its arguments.
        jobs: processes at a time.
        label: names an item in messages.

    Raises:
        BadInput: fewer processes than one.
    """
    require_jobs(jobs)
    results: list[Any] = [KeyboardInterrupt("not begun") for _ in items]
    waiting = list(range(len(items)))
    running, told = 0, False
    with StopRequest() as stop, Processes(function, jobs) as processes:
        while running or (waiting and not stop.requested):
            while waiting and running < jobs and not stop.requested:
                index = waiting.pop(0)
                processes.start(str(index), items[index])
                running += 1
            if stop.requested and not told:
                processes.stop()
                told = True
            for key, outcome in processes.ended(POLL_SECONDS):
                running -= 1
                results[int(key)] = outcome = _as_asked(outcome, stop)
                if isinstance(outcome, Exception):
                    print(f"{label(items[int(key)])}: {outcome}", file=sys.stderr)
    return results


def all_results(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, label: Callable[[Item], str] = str
) -> list[Result]:
    """As `run_all`, where every call must succeed.

    Raises:
        BaseException: that of the first call that did not, when all have ended.
    """
    results: list[Result] = []
    for result in run_all(function, items, jobs, label):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def next_free(path: Path) -> Path:
    """The path, or path-2, path-3 ... where it exists: runs are never overwritten."""
    return next(candidate for candidate in numbered(path) if not candidate.exists())


def numbered(path: Path) -> Iterator[Path]:
    """The path, path-2, path-3 and so on."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def _call(function: Callable[[Any], Any], item: Any, sender: Connection) -> None:
    """In the child: send back what the function returned or raised."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        outcome: Any = (function(item),)
    except (BadInput, Stopped) as error:
        outcome = error
    except Exception as error:  # noqa: BLE001  (told to whoever asked; many exceptions do not pickle)
        outcome = RunFailed(f"{type(error).__name__}: {error}")
    sender.send(outcome)


def _end_with_parent() -> None:
    """A call that nobody waits for would go on writing where another begins: what it has saved is enough."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _outcome(receiver: Connection, process: SpawnProcess) -> Any:
    try:
        outcome = receiver.recv()
    except EOFError:
        outcome = None
    receiver.close()
    process.join()
    if outcome is None:
        return ProcessDied(f"its process died (exit code {process.exitcode})")
    return outcome[0] if isinstance(outcome, tuple) else outcome


def _as_asked(outcome: Any, stop: StopRequest) -> Any:
    """The outcome, or what it means where all were asked to stop."""
    if isinstance(outcome, Stopped):
        return Stopped(outcome.run, stop.signal)
    if isinstance(outcome, ProcessDied) and stop.requested:
        return KeyboardInterrupt("stopped before it could save anything")
    return outcome


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Around the start of a child, which inherits the mask; a Ctrl-C of that moment comes to us after it."""
    resource_tracker.ensure_running()  # its own start would take the mask off
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Runs are single-threaded: more threads than cores would only get in each other's way."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]

"""Many independent runs on the cores of this machine, one process each."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from regoal.agent.interrupts import Stopped, StopRequest
from regoal.errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL_SECONDS = 0.5  # how soon a signal to this process is passed on


class RunFailed(RuntimeError):
    """A call ended in a way that has no better name: an unforeseen exception, or its process died."""


def run_all(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, label: Callable[[Item], str] = str
) -> list[Result | BaseException]:
    """Call a module-level function on every item, at most `jobs` at a time, each in its own process.

    A call that fails, or whose process dies, does not stop the others: its exception stands in its
    place. After SIGINT or SIGTERM no further call is begun; those that run get SIGTERM and are waited
    for. They ignore SIGINT, which a terminal sends to all, so that they are asked once and not twice.

    Args:
        function: may raise; `BadInput` and `Stopped` come back as they are.
        items: its arguments.
        jobs: processes at a time.
        label: names an item in messages.
    """
    results: list[Any] = [KeyboardInterrupt("not begun") for _ in items]
    waiting = list(range(len(items)))
    running: dict[Connection, tuple[int, SpawnProcess]] = {}
    told = False
    with StopRequest() as stop, _one_thread_each():
        while running or (waiting and not stop.requested):
            while waiting and len(running) < jobs and not stop.requested:
                index = waiting.pop(0)
                receiver, process = _begin(function, items[index])
                running[receiver] = index, process
            if stop.requested and not told:
                for _, process in running.values():
                    process.terminate()
                told = True
            ready = wait(list(running), timeout=POLL_SECONDS)
            for receiver in [one for one in running if one in ready]:
                index, process = running.pop(receiver)
                results[index] = _outcome(receiver, process, stop)
                if isinstance(results[index], Exception):
                    print(f"{label(items[index])}: {results[index]}", file=sys.stderr)
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
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _begin(function: Callable[[Any], Any], item: Any) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, item, sender))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the child inherits
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    sender.close()  # the child's end is the only one left: when it dies, the pipe ends
    return receiver, process


def _call(function: Callable[[Any], Any], item: Any, sender: Connection) -> None:
    """In the child: send back what the function returned or raised."""
    try:
        outcome: Any = (function(item),)
    except (BadInput, Stopped) as error:
        outcome = error
    except Exception as error:  # noqa: BLE001  (told to whoever asked; many exceptions do not pickle)
        outcome = RunFailed(f"{type(error).__name__}: {error}")
    sender.send(outcome)


def _outcome(receiver: Connection, process: SpawnProcess, stop: StopRequest) -> Any:
    try:
        outcome = receiver.recv()
    except EOFError:
        outcome = None
    receiver.close()
    process.join()
    if isinstance(outcome, Stopped):
        return Stopped(outcome.run, stop.signal)
    if outcome is None and stop.requested:
        return KeyboardInterrupt("stopped before it could save anything")
    if outcome is None:
        return RunFailed(f"its process died (exit code {process.exitcode})")
    return outcome[0] if isinstance(outcome, tuple) else outcome


@contextlib.contextmanager
def _one_thread_each() -> Any:
    """Runs are single-threaded: more threads than cores would only get in each other's way."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]

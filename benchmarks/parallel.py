"""Many independent runs on the cores of this machine, one process each."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from regoal.agent.interrupts import StopRequest

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> list[Result | BaseException]:
    """Call a module-level function on every item, at most `jobs` at a time, in processes of their own.

    A call that fails does not stop the others: its exception stands in its place. After Ctrl-C, which
    every process receives, no further call is begun and those that run are waited for.
    """
    results: dict[int, Result | BaseException] = {}
    waiting = list(range(len(items)))
    running: dict[Future[Result], int] = {}
    # Runs are single-threaded: more threads than cores would only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with (
        StopRequest() as stop,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
    ):
        while waiting or running:
            while waiting and len(running) < jobs and not stop.requested:
                index = waiting.pop(0)
                running[pool.submit(function, items[index])] = index
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index = running.pop(future)
                error = future.exception()
                if error is not None:
                    print(f"{items[index]}: {error}", file=sys.stderr)
                results[index] = error if error is not None else future.result()
    skipped = KeyboardInterrupt("not begun")
    return [results.get(index, skipped) for index in range(len(items))]


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def next_free(path: Path) -> Path:
    """The path, or path-2, path-3 ... where it exists: runs are never overwritten."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate

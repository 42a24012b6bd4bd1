"""Notices an env that hangs in the run's own process, where nobody else can end it."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any


class Hung(BaseException):
    """No step was taken for too long; an env's own `except Exception` does not keep it."""


class HangWatch:
    """Raises `Hung` in the midst of what the env does if it takes no step for so long.

    Use as a context manager around an episode, and call `tick` at every step. It rests on SIGALRM, so it
    watches in the main thread alone, and what never comes back to Python (a loop in C) is not interrupted.

    Args:
        seconds: most that a step may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watching = False
        self._before: Any = None
        self._left, self._interval, self._began = 0.0, 0.0, 0.0

    def tick(self) -> None:
        """A step was taken."""
        if self._watching:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __enter__(self) -> "HangWatch":
        # Another alarm whose handler is not Python's could not be put back, and would end the process.
        foreign = signal.getitimer(signal.ITIMER_REAL)[0] > 0 and not callable(
            signal.getsignal(signal.SIGALRM)
        )
        self._watching = threading.current_thread() is threading.main_thread() and not foreign
        if self._watching:
            self._began = time.monotonic()
            self._left, self._interval = signal.setitimer(signal.ITIMER_REAL, self._seconds)
            self._before = signal.signal(signal.SIGALRM, _raise)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching:
            self._watching = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            if self._left > 0:  # somebody's alarm was set before: it is to ring when it would have
                left = self._left - (time.monotonic() - self._began)
                signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3), self._interval)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Hung

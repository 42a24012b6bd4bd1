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
        self._other, self._began = 0.0, 0.0

    def tick(self) -> None:
        """A step was taken."""
        if self._watching:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __enter__(self) -> "HangWatch":
        self._watching = threading.current_thread() is threading.main_thread()
        if self._watching:
            self._began = time.monotonic()
            self._other, _ = signal.setitimer(signal.ITIMER_REAL, self._seconds)
            self._before = signal.signal(signal.SIGALRM, _raise)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching:
            self._watching = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if self._before is None else self._before)
            if self._other > 0:  # somebody's alarm was set before: it is to ring when it would have
                left = self._other - (time.monotonic() - self._began)
                signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3))


def _raise(number: int, frame: FrameType | None) -> None:
    raise Hung

"""Ctrl-C at a moment that suits: the first asks, the second insists."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stopped(KeyboardInterrupt):
    """The user asked to stop and everything learned is saved.

    Attributes:
        run: the folder that holds it.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(f"stopped; what was learned is in {run}")

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.run,)


class StopRequest:
    """Turns the first Ctrl-C into a flag that is read between episodes; a second one ends at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

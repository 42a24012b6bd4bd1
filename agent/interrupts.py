"""Ctrl-C and SIGTERM at a moment that suits: the first asks, the second insists."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and everything learned is saved.

    Attributes:
        run: the folder that holds it.
        signal: the number of the signal that asked.
    """

    def __init__(self, run: str, signal_number: int = signal.SIGINT) -> None:
        self.run, self.signal = run, int(signal_number)
        super().__init__(f"stopped; what was learned is in {run}, and `regoal resume {run}` goes on")

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (self.run, self.signal)

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


class EvaluationLeft(Exception):
    """A stop was asked for in the middle of an evaluation, which has no result then."""


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a flag that is read between blocks; a second ends at once.

    Attributes:
        signal: number of the signal that came, 0 before one did.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal != 0

    def leave_evaluation(self) -> None:
        """Raise `EvaluationLeft` if a signal came; called between the episodes of an evaluation."""
        if self.requested:
            raise EvaluationLeft

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            # What was told to ignore a signal goes on ignoring it.
            minded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in minded}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number

"""Showing how far a run is: a bar on a terminal, plain lines elsewhere."""

import multiprocessing
import sys
import time
from types import TracebackType

from regoal.errors import printable

SECONDS_BETWEEN_LINES = 5.0  # for one run; side by side, three times as long
SECONDS_OVERDUE = 15.0  # of a line, after which a run says what it is busy with; a benchmark ends silent ones


def say(text: str) -> None:
    """A line for whoever watches."""
    print(printable(text), file=sys.stderr, flush=True)


class Progress:
    """Counts env steps up to `total`; the success shown is that of the last evaluation, with its env steps.

    Lines tell of a run that goes on; how it ended is for whoever began it to say.

    Args:
        total: env steps of the run.
        label: what is running, shown in front.
        begun: env steps that are behind it already.
    """

    def __init__(self, total: int, label: str, begun: int = 0) -> None:
        self._total, self._label, self._begun = total, label, begun
        self._steps, self._success = begun, ""
        self._began = time.monotonic()
        self._bar = None
        alone = multiprocessing.parent_process() is None
        self._pause = SECONDS_BETWEEN_LINES * (1 if alone else 3)
        self._printed = self._began
        # Bars of several processes would write over each other.
        if sys.stderr.isatty() and alone:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=begun, desc=label, unit="step", dynamic_ncols=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, steps: int) -> None:
        """So many env steps more."""
        self._steps += steps
        if self._bar is not None:
            self._bar.update(steps)
        else:
            self._print()

    def evaluated(self, success: float, env_steps: int) -> None:
        """An evaluation came out, of what was learned after so many env steps."""
        self._success = f", success {success:.2f} at {env_steps}"
        if self._bar is not None:
            self._bar.set_postfix(success=f"{success:.2f}")
        else:
            self._print()

    def busy(self, doing: str) -> None:
        """No step came, but it works: to be called again and again."""
        now = time.monotonic()
        if self._bar is not None:
            if now - self._printed > 1.0:
                self._printed = now
                self._bar.refresh()  # its clock
        elif now - self._printed > self._pause + SECONDS_OVERDUE:
            self._printed = now
            print(f"{self._label}: {self._steps}/{self._total} steps, {doing}", file=sys.stderr, flush=True)

    def _print(self) -> None:
        now = time.monotonic()
        if self._steps >= self._total or (self._steps and now - self._printed < self._pause):
            return
        self._printed = now
        line = f"{self._label}: {self._steps}/{self._total} steps{self._success}"
        if self._steps:
            speed = (self._steps - self._begun) / max(self._printed - self._began, 1e-9)
            left = max(self._total - self._steps, 0) / speed
            line += f", {speed:.0f} steps/s, {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)

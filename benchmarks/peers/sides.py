"""Both sides of a comparison: processes of their own that are timed in turn."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

REPETITIONS = 9


class Side:
    """One side of a comparison, waiting in its own process."""

    def __init__(self, module: str, function: str, **arguments: Any) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "regoal.benchmarks.peers.side"]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [*command, module, function, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | one_thread,
        )

    def seconds(self, calls: int) -> float:
        """Mean seconds of so many calls."""
        return float(self._ask(f"time {calls}"))

    def value(self) -> Any:
        """What one call returns."""
        return json.loads(self._ask("value"))

    def result(self) -> Any:
        """What the function itself returned, where it is no callable."""
        return json.loads(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a side of the comparison died; see what it printed above")
        return answer


def in_turn(sides: Sequence[Side], calls: Sequence[int]) -> list[list[float]]:
    """Seconds of each side, repetition by repetition; the first is for warming up."""
    rows = [[side.seconds(n) for side, n in zip(sides, calls, strict=True)] for _ in range(REPETITIONS + 1)]
    return [list(column) for column in zip(*rows[1:], strict=True)]

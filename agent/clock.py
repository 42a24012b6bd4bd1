"""Where the time went: seconds by what they were spent on, added up while a run goes on."""

import contextlib
import time
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Clock(IntEnum):
    """What time is spent on."""

    PHYSICS = 0  # mj_step, inside the env's reset and step
    ENV = 1  # env.reset and env.step as a whole
    INFERENCE = 2  # the policy's actions
    ROLLOUT = 3  # whole episodes: all of the above and what surrounds them
    SAMPLING = 4
    UPDATE = 5
    EVALUATION = 6  # whole episodes of evaluations
    WAITING = 7  # for workers
    SAVING = 8  # checkpoints


N_CLOCKS = len(Clock)


@contextlib.contextmanager
def timed(clocks: NDArray[np.float64] | None, clock: Clock) -> Iterator[None]:
    """Add the seconds of the block to one of the clocks; nothing is measured where there are none."""
    if clocks is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        clocks[clock] += time.perf_counter() - began

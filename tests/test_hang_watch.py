"""What hangs is left, and alarms that were set before ring as they would have."""

import faulthandler
import signal
import time
from pathlib import Path

import pytest

from regoal.envs.hang_watch import HangWatch, Hung


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


def test_a_tick_gives_more_time_and_without_one_it_is_over() -> None:
    with HangWatch(0.5) as watch:
        for _ in range(4):
            _wait(0.2)
            watch.tick()
    with pytest.raises(Hung), HangWatch(0.2):
        _wait(5)
    _wait(0.3)  # nothing rings after it


def test_an_inner_watch_leaves_the_outer_one_as_it_was() -> None:
    began = time.monotonic()

    def inner_and_on() -> None:
        with HangWatch(60):
            _wait(0.2)
        _wait(5)

    with pytest.raises(Hung), HangWatch(0.5):
        inner_and_on()
    assert 0.4 < time.monotonic() - began < 3


def test_somebody_elses_alarm_rings_when_it_would_have() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with HangWatch(60):
            _wait(0.1)
        assert not rung
        _wait(1)
        assert len(rung) == 1
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        with HangWatch(60):
            _wait(0.3)  # its time is over meanwhile
        _wait(1)
        assert len(rung) >= 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_that_cannot_be_put_back_is_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "told").open("w") as file:
        faulthandler.register(signal.SIGALRM, file)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with HangWatch(0.1):
                _wait(0.2)
            _wait(0.5)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.unregister(signal.SIGALRM)
    assert "_wait" in (tmp_path / "told").read_text()

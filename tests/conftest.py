"""Shared by all tests: helper modules of this folder can be imported by name."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))
# No test cuts the power, so that waiting for the disk would prove nothing, and it takes a quarter of the time
# of a short run. Processes that tests start do wait.
os.fsync = lambda descriptor: None

# A busy machine is no fault; `settings(deadline=...)` of a test still wins.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell starts what it runs in the background deaf to Ctrl-C, and so would be every process of ours.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# For a fault to be answered. `make torture` asks for ten; here tests share the machine with each other.
MOST_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _faults_are_answered_soon(request: pytest.FixtureRequest) -> Iterator[None]:
    began = time.monotonic()
    yield
    if request.node.get_closest_marker("fault"):
        assert time.monotonic() - began < MOST_SECONDS

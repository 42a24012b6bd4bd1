"""Crafted files and settings: each is refused in so many words, in no time, and nothing of it is run."""

import contextlib
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from regoal.benchmarks.torture import crafted_files, crafted_settings
from regoal.benchmarks.torture.box import Box
from regoal.benchmarks.torture.children import Child
from regoal.benchmarks.torture.damage import unfinished_run
from regoal.benchmarks.torture.tally import Tally
from regoal.errors import EXIT_BAD_INPUT, BadInput

MOST_SECONDS = 10.0  # for a refusal
NOT_REFUSED = "it was not refused"
MEMORY_BYTES = 1 << 30  # that one may take beyond what the process has


def cases() -> dict[str, tuple[str, Callable[[Box], object]]]:
    """All of them by name: what is attempted, and what was done to the run before."""
    return crafted_files.cases() | crafted_settings.cases()


def malicious(folder: Path, tries: int, seed: int = 0) -> Tally:
    """All crafted files, or as many of them, spread over all kinds."""
    names = list(cases())
    chosen = names if tries >= len(names) else [names[len(names) * i // tries] for i in range(tries)]
    template = unfinished_run(folder / "template")
    for older in sorted((template / "checkpoints").iterdir())[:-1]:  # nothing to fall back to
        shutil.rmtree(older)
    tally, left = Tally(), [*ATTEMPTS, *chosen]  # first an untouched run, which must not be refused
    while left:
        child = Child(_attempt_all, folder, template, left, log=folder / "malice.log")
        while left:
            what = child.told(3 * MOST_SECONDS)
            name = left.pop(0)
            tally.tries += name not in ATTEMPTS
            if name in ATTEMPTS and what == NOT_REFUSED:
                continue
            if what or name in ATTEMPTS:
                tally.failures.append(f"{name}: {what}")
            elif what is None:
                tally.failures.append(f"{name}: the process that tried it hung or died")
                break
        child.kill()
    return tally


def _attempt_all(connection: Connection, folder: Path, template: Path, names: list[str]) -> None:
    """In a process of its own: say what is wrong with each refusal, nothing if all is well."""
    _limit_memory()
    signal.signal(signal.SIGALRM, _too_late)
    for name in names:
        attempt, craft = cases().get(name, (name, lambda box: None))
        shutil.rmtree(folder / "box", ignore_errors=True)
        box = Box(folder / "box", template)
        craft(box)
        connection.send(_wrong(box, ATTEMPTS[attempt]))


def _wrong(box: Box, attempt: Callable[[Box], object]) -> str:
    sys.path.insert(0, str(box.folder))  # as for a user who stands beside the run
    os.chdir(box.folder)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    began, outcome = time.monotonic(), NOT_REFUSED
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            attempt(box)
    except BadInput:
        outcome = ""
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it is, it is no answer)
        outcome = f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        sys.path.remove(str(box.folder))
    if outcome == "" and time.monotonic() - began > MOST_SECONDS:
        outcome = f"it took more than {MOST_SECONDS:g} s"
    return box.harm or outcome


def _load(box: Box) -> None:
    from regoal.agent.policy import Policy

    Policy.load(box.run)


def _resume(box: Box) -> None:
    from regoal.agent.training import resume

    resume(box.run)


def _finetune(box: Box) -> None:
    from regoal.agent.config import FinetuneConfig
    from regoal.agent.finetuning import finetune

    finetune(box.run, FinetuneConfig(out=str(box.folder / "tuned"), mode="replay_mix", steps=100, workers=0))


def _evaluate(box: Box) -> None:
    command = [sys.executable, "-m", "regoal", "evaluate", str(box.run), "--episodes", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == EXIT_BAD_INPUT:
        raise BadInput("run", "one that is sound", done.stderr)


ATTEMPTS = {"load": _load, "resume": _resume, "finetune": _finetune, "evaluate": _evaluate}


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))


def _too_late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"no answer after {MOST_SECONDS:g} s")

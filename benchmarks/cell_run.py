"""One cell of a benchmark, begun or gone on with, in a process of its own on whatever machine."""

import contextlib
import json
import os
import shutil
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regoal.agent.checkpoints import Checkpoint, whole_checkpoints
from regoal.agent.durable import MOST_JSON_BYTES, parsed, read_plain
from regoal.agent.run_folder import read_config, rewrite_config
from regoal.agent.run_lock import LOCK, RunLock
from regoal.agent.settings import to_toml
from regoal.agent.trust import trust_settings
from regoal.benchmarks.cells import Cell
from regoal.benchmarks.results import DONE
from regoal.benchmarks.staging import replace_text
from regoal.errors import BadInput

LOCK_SECONDS = 10.0  # a process whose benchmark was killed ends by itself, but not at once


@dataclass(frozen=True)
class Job:
    """A cell to run.

    Attributes:
        cell: the run.
        columns: of all its rows of results.csv; kept with it when it is finished.
        lock_seconds: to wait for a process that has its lock and is about to end.
    """

    cell: Cell
    columns: dict[str, Any]
    lock_seconds: float = LOCK_SECONDS


def is_finished(cell: Cell) -> bool:
    """Whether a cell has been run to its end, with these settings."""
    try:
        done = parsed(read_plain(cell.path / DONE, MOST_JSON_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(done, dict) and done.get("config_hash") == cell.config_hash


def run_cell(job: Job) -> None:
    """Run a cell to its end from wherever it is; what it prints goes into its log.

    Raises:
        BadInput: it cannot be run, or another process does.
        Stopped: a stop was asked for; it can be gone on with.
        RunFault: it went wrong.
    """
    require_own_place(job.cell)
    job.cell.path.mkdir(parents=True, exist_ok=True)
    with printing_to(job.cell.log):
        print(f"{job.cell.name}: process {os.getpid()} on {socket.gethostname()}")
        try:
            run_on(job)
        except BaseException:
            traceback.print_exc()
            raise


def require_own_place(cell: Cell) -> None:
    """That the folder of a cell lies where its name says: through a link, others' files would be taken away.

    Raises:
        BadInput: a folder on the way to it, itself or its log is a link.
    """
    on_the_way = cell.path.parents[: len(Path(cell.name).parts) - 1]  # the folder of all may be anywhere
    for path in (*reversed(on_the_way), cell.path, cell.log):
        if path.is_symlink():
            raise BadInput(f"{path}", "a folder or a file of its own", "a link", "Put a copy in its place.")


@contextlib.contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Everything that this process prints, from C too, goes to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "a", buffering=1) as file:
            for number in kept:
                os.dup2(file.fileno(), number)
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
    finally:
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)


def run_on(job: Job) -> None:
    """As `run_cell`, printing as runs do; the folder of the cell must be there."""
    from regoal.agent.training import resume, train  # here, because whoever makes jobs needs no torch

    cell = job.cell
    trust_settings(cell.config)  # whoever made it a job has held it against what the user named
    if cell.source is not None:
        _require_source(cell.source)
    checkpoint = _checkpoint_to_go_on_from(cell, job.lock_seconds)
    if checkpoint is None:
        train(cell.config, notes={"preset": cell.preset} if cell.preset else None)
    elif not checkpoint.state["progress"]["finished"]:
        resume(cell.path)
    columns = job.columns | {"config_hash": cell.config_hash}
    replace_text(cell.path / DONE, json.dumps(columns, indent=1) + "\n")


def _checkpoint_to_go_on_from(cell: Cell, lock_seconds: float) -> Checkpoint | None:
    """The newest checkpoint of a cell between two blocks; a folder without one to rely on is emptied.

    One that was saved after an error is not bit-exact, and is taken away.

    Raises:
        BadInput: another process works on it, it is the run of other settings, or something in it cannot be
            read just now or is of another version: nothing is taken away then.
    """
    from regoal.agent.resuming import fault_of_episodes  # here, because whoever makes jobs needs no torch

    with locked(cell.path, lock_seconds):
        if (cell.path / "config.toml").exists() and _newest(cell.path) is not None:
            require_same_settings(cell)
            # It may lie elsewhere now, or its source may.
            if to_toml(read_config(cell.path)) != to_toml(cell.config):
                rewrite_config(cell.path, cell.config)
            for checkpoint in whole_checkpoints(cell.path, damage_alone=True):
                progress = checkpoint.state["progress"]
                if progress["finished"]:
                    return checkpoint
                if not (progress["inside_block"] or fault_of_episodes(checkpoint, damage_alone=True)):
                    return checkpoint
                shutil.rmtree(checkpoint.path)
        # Killed before it had saved anything to rely on, or all of that is damaged.
        for path in cell.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
    return None


def _newest(run: Path) -> Checkpoint | None:
    if not (run / "checkpoints").is_dir():
        return None
    return next(whole_checkpoints(run, damage_alone=True), None)


@contextlib.contextmanager
def locked(run: Path, seconds: float) -> Iterator[None]:
    """Under the lock of a run, waiting a little for a process that is about to end."""
    end, told = time.monotonic() + seconds, False
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(RunLock(run))
                break
            except BadInput as error:
                if time.monotonic() > end:
                    raise
                if not told:
                    print(f"waiting for the lock: {error}")
                    told = True
                time.sleep(0.2)
        yield


def require_same_settings(cell: Cell) -> None:
    """That the run in the folder of a cell is this cell.

    Raises:
        BadInput: naming the settings that differ.
    """
    there, planned = cell.identity(read_config(cell.path)), cell.identity(cell.config)
    different = [
        f"{name}={there.get(name)!r} (not {planned.get(name)!r})"
        for name in sorted(there.keys() | planned.keys())
        if there.get(name) != planned.get(name)
    ]
    if different:
        fix = "Take the folder away, or use another --out."
        raise BadInput(f"{cell.path}", "a run of the suite's settings", ", ".join(different), fix)


def _require_source(source: Cell) -> None:
    """That the last checkpoint of a source is whole: with an older one, arms would not be comparable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = _newest(source.path)
    if checkpoint is None or not checkpoint.state["progress"]["finished"]:
        fix = "Take its folder away and start the benchmark again."
        raise BadInput(f"{source.path}", "a source that is trained to its end", "one that is not", fix)

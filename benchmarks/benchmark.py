"""Runs the cells of a suite through a launcher, survives what can be survived, and writes the results.

Finished cells never run again. One that was killed goes on from its checkpoint, to the same numbers; one
that fails is written down, and the others go on.
"""

import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regoal.agent.interrupts import Stopped, StopRequest
from regoal.agent.progress import say
from regoal.agent.run_lock import RunLock
from regoal.benchmarks.benchmark_folder import (
    FAILURES,
    LOST_SOURCE,
    Failure,
    command_of,
    commit,
    make_folder,
    read_failures,
    write_failures,
    write_suite,
)
from regoal.benchmarks.cell_run import Job, is_finished
from regoal.benchmarks.cells import Cell, cells_of
from regoal.benchmarks.grid import Suite, placed
from regoal.benchmarks.parallel import POLL_SECONDS, NodeLost, ProcessDied
from regoal.benchmarks.results import DONE, Results, write_results
from regoal.benchmarks.tables import read_rows
from regoal.benchmarks.taken_over import take_over
from regoal.envs.recipe import EnvRecipe
from regoal.errors import EXIT_FAILED, BadInput, did_you_mean

# Times that a cell is begun; the last one fails it. A lost node is seldom the fault of what ran there.
MOST_LOSSES = {"silent": 2, "died": 3, "lost its node": 10}
SILENT_SECONDS = 600.0  # cells say something every half a minute, but within an episode


class Launcher(Protocol):
    """Where cells run; a cell is known by its name."""

    @property
    def slots(self) -> int:
        """Cells that have room at a time."""

    def prepare(self, out: Path) -> None:
        """See that cells can run wherever they will, before any is begun; the lock of DIR is held.

        Raises:
            BadInput: they cannot.
        """

    def start(self, key: str, item: Job) -> None:
        """Begin to call `cell_run.run_cell`, as soon as there is a place to."""

    def begun(self, key: str) -> bool:
        """Whether there was: what waits for one is not silent."""

    def ended(self, timeout: float) -> list[tuple[str, BaseException | None]]:
        """Those that have ended, with the exception of each that raised one; waits so long for the first."""

    def stop(self) -> None:
        """Ask all to save what they have and end."""

    def kill(self, key: str) -> None:
        """End one at once; it comes back as `ProcessDied`."""


@dataclass
class Watched:
    """A cell that runs.

    Attributes:
        cell: the run.
        said: bytes in its log.
        heard: when it last grew [s of the monotonic clock].
        killed: whether it was ended for its silence.
    """

    cell: Cell
    said: int
    heard: float
    killed: bool = False


def run_suite(
    suite: Suite,
    out: Path,
    launcher: Launcher,
    *,
    retry: bool = False,
    silent_seconds: float = SILENT_SECONDS,
    only: str = "",
    known: Results | None = None,
) -> int:
    """Run what is not finished of a benchmark, and write its results.

    Args:
        suite: what is compared.
        out: DIR; a benchmark of the same suite goes on where it was.
        launcher: where cells run.
        retry: run those again, too, that failed before.
        silent_seconds: a cell whose log does not grow for so long is ended, and begun once more.
        only: run no cells but those with this text in their names, and what they start from.
        known: rows of the same suite from another machine, in place of the runs that they are of.

    Returns:
        The exit code: 0 where all cells that were to run are finished, 1 where some of them failed, 130 or
        143 after a signal.

    Raises:
        BadInput: a cell that cannot work, or a folder of something else or of other settings; nothing has
            run.
    """
    cells = cells_of(suite, out)
    wanted = named(cells, only)
    require_buildable(suite, cells)
    make_folder(suite, out)
    _require_todays(cells, out)
    with RunLock(out), StopRequest() as stop:
        make_folder(suite, out)  # another process may have been quicker
        launcher.prepare(out)
        write_suite(suite, out)
        if known is not None:
            say(
                f"{take_over(cells, known)} of {len(cells)} cells taken over as another machine finished them"
            )
        schedule = Schedule(suite, cells, out, launcher, silent_seconds)
        schedule.run(stop, wanted, retry=retry)
        write_results(out, [cell.path for cell in cells if is_finished(cell)])
    say(schedule.summary())
    if stop.requested:
        say("stopped; the same command goes on")
        return 128 + stop.signal
    return EXIT_FAILED if schedule.failures.keys() & wanted else 0


def _require_todays(cells: Sequence[Cell], out: Path) -> None:
    """That what is finished has the settings of today: presets and defaults may have changed since.

    Raises:
        BadInput: it has others.
    """
    others = [cell.name for cell in cells if (cell.path / DONE).exists() and not is_finished(cell)]
    if others:
        got = f"{len(others)} finished with other settings, {others[0]} for example"
        fix = "A preset or a default has changed since they ran: give another --out."
        raise BadInput(str(out), "runs with the settings that the suite has now", got, fix)


def named(cells: Sequence[Cell], text: str) -> set[str]:
    """Names of the cells that have a text in theirs, and of what they start from.

    Raises:
        BadInput: none has.
    """
    found = [cell for cell in cells if text in cell.name]
    if not found:
        words = {word for cell in cells for word in cell.name.split("/")}
        raise BadInput("only", "a part of the name of a cell", repr(text), did_you_mean(text, words))
    return {one.name for cell in found for one in (cell, cell.source) if one is not None}


def require_buildable(suite: Suite, cells: list[Cell]) -> None:
    """That every world of a suite can be built.

    Raises:
        BadInput: an env is not known, or a shift does not apply to it.
    """
    recipes = [EnvRecipe(one.config.env, one.config.shift, one.config.env_kwargs) for one in cells]
    for index, recipe in enumerate(recipes):
        if recipe not in recipes[:index]:
            try:
                recipe.build().close()
            except BadInput as error:
                raise placed(f"{suite.file} [grid]", error) from error


class Schedule:
    """Which cells are finished, failed, running and still to run.

    Args:
        suite: what is compared.
        cells: all of it.
        out: DIR; what fails is written there at once.
        launcher: where cells run.
        silent_seconds: as for `run_suite`.

    Attributes:
        failures: by the name of the cell.
    """

    def __init__(
        self, suite: Suite, cells: list[Cell], out: Path, launcher: Launcher, silent_seconds: float
    ) -> None:
        self._cells, self._out, self._launcher, self._silent_seconds = cells, out, launcher, silent_seconds
        self._command = command_of(suite)
        self._finished = {cell.name for cell in cells if is_finished(cell)}
        self._before = len(self._finished)
        self._running: dict[str, Watched] = {}
        self._losses: Counter[tuple[str, str]] = Counter()
        self.failures = {name: one for name, one in read_failures(out).items() if name not in self._finished}
        self._attempts = Counter({name: one.attempts for name, one in self.failures.items()})

    def run(self, stop: StopRequest, wanted: Collection[str], *, retry: bool) -> None:
        """Run what is to be run of the wanted ones, until nothing is left or a stop is asked for."""
        if retry:
            self.failures = {name: one for name, one in self.failures.items() if name not in wanted}
        write_failures(self._out, self.failures.values())
        done = self._finished | self.failures.keys()
        waiting = [cell for cell in self._cells if cell.name in wanted and cell.name not in done]
        waiting = [cell for cell in waiting if cell.columns or self._is_needed(cell, wanted)]
        # Seed by seed: what is there when somebody stops early can be compared. Sources first, as they come.
        waiting.sort(key=lambda cell: (cell.config.seed, bool(cell.columns)))
        self._began, self._left, self._ran = time.monotonic(), len(waiting), 0
        if waiting:
            say(f"{len(waiting)} of {len(self._cells)} cells to run, {self._launcher.slots} at a time")
        told = False
        while self._running or (waiting and not stop.requested):
            if stop.requested and not told:
                self._launcher.stop()
                told = True
            if not stop.requested:
                self._start(waiting)
            for name, outcome in self._launcher.ended(POLL_SECONDS):
                watched = self._running.pop(name)
                if not (stop.requested and isinstance(outcome, Stopped | ProcessDied)):
                    waiting[:0] = self._ended(watched, outcome)
            self._watch()

    def summary(self) -> str:
        """How many cells there are of each kind."""
        finished, failed, total = len(self._finished), len(self.failures), len(self._cells)
        text = f"{self._out}: {finished} of {total} cells finished"
        if self._before:
            text += f", {self._before} of them before"
        if failed:
            text += f"; {failed} failed ({self._out / FAILURES}), --retry runs them again"
        return text

    def _is_needed(self, source: Cell, wanted: Collection[str]) -> bool:
        """Whether any of the cells that start from a source is left, or it is wanted for itself."""
        starts = [cell.name for cell in self._cells if cell.source is source and cell.name in wanted]
        return not starts or not self._finished.issuperset(starts)

    def _start(self, waiting: list[Cell]) -> None:
        """Begin what has room and a source that is ready; what has lost its source fails with it."""
        for cell in list(waiting):
            if cell.source is not None and cell.source.name in self.failures:
                waiting.remove(cell)
                self._fail(cell, f"{LOST_SOURCE} {cell.source.name} failed")
            elif len(self._running) < self._launcher.slots and (
                cell.source is None or cell.source.name in self._finished
            ):
                waiting.remove(cell)
                self._attempts[cell.name] += 1
                # The commit of now: the code may change while a benchmark runs.
                columns = dict(cell.columns) | {"command": self._command, "commit": commit()}
                self._running[cell.name] = Watched(cell, _size(cell.log), time.monotonic())
                self._launcher.start(cell.name, Job(cell, columns))

    def _ended(self, watched: Watched, outcome: BaseException | None) -> list[Cell]:
        """Take note of how a cell has ended; returns it if it is to be begun once more."""
        cell = watched.cell
        if not isinstance(outcome, BaseException):
            self._finished.add(cell.name)
            self._say_finished(cell)
            return []
        if not isinstance(outcome, Stopped | ProcessDied):
            self._fail(cell, str(outcome))
            return []
        how = "lost its node" if isinstance(outcome, NodeLost) else "died"
        how = "silent" if watched.killed else how
        error = f"it said nothing for {self._silent_seconds:g} s" if watched.killed else str(outcome)
        self._losses[cell.name, how] += 1
        if self._losses[cell.name, how] >= MOST_LOSSES[how]:
            fix = " again: if an episode may take as long, raise --silent-seconds" if watched.killed else ""
            self._fail(cell, error + fix)
            return []
        say(f"{cell.name}: {error}; it goes on from its checkpoint")
        return [cell]

    def _fail(self, cell: Cell, error: str) -> None:
        self._left -= 1
        self.failures[cell.name] = Failure(cell.name, error, self._attempts[cell.name])
        say(f"FAILED {cell.name}: {error} ({cell.log})")
        try:
            write_failures(self._out, self.failures.values())
        except OSError as fault:  # a full disk fails this cell, and perhaps no other
            say(f"{self._out / FAILURES} could not be written: {fault}")

    def _watch(self) -> None:
        """End what has been silent for too long."""
        now = time.monotonic()
        for name, watched in self._running.items():
            size = _size(watched.cell.log)
            if size != watched.said or not self._launcher.begun(name):
                watched.said, watched.heard = size, now
            elif now - watched.heard > self._silent_seconds and not watched.killed:
                watched.killed = True
                self._launcher.kill(name)

    def _say_finished(self, cell: Cell) -> None:
        self._left, self._ran = self._left - 1, self._ran + 1
        row = read_rows(cell.path / "metrics.csv")[-1]
        text = f"{len(self._finished)}/{len(self._cells)} {cell.name}: success {float(row['success']):.2f}"
        if self._left:
            text += f"; about {minutes((time.monotonic() - self._began) / self._ran * self._left)} left"
        say(text)


def minutes(seconds: float) -> str:
    """A time that is not known to the second."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _size(path: Path) -> int:
    """Of a file that another machine may be writing: to open it asks what it is now, not some time ago."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0

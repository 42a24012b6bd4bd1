"""Commands that go on where they were stopped: in which folder they do, and how they end."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from regoal.agent.interrupts import Stopped
from regoal.benchmarks.parallel import next_free, numbered
from regoal.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, BadInput

MARK = ".begun"  # holds the name of the command that has begun there


def folder_of(out: Path, command: str, is_finished: Callable[[Path], bool]) -> Path:
    """The folder in which a command that was stopped goes on, or begins; it is there, with its mark.

    Args:
        out: where it would begin. What exists and is not its own is left alone: then it is OUT-2, OUT-3 ...
        command: its name.
        is_finished: whether a folder that it has begun has all that it should.
    """
    *_, last = [None, *itertools.takewhile(Path.exists, numbered(out))]
    if last is not None and _begun_by(last) == command and not is_finished(last):
        return last
    folder = next_free(out)
    folder.mkdir(parents=True)
    (folder / MARK).write_text(command)
    return folder


def _begun_by(folder: Path) -> str:
    mark = folder / MARK
    return mark.read_text() if mark.is_file() else ""


def exit_code(main: Callable[[], int]) -> int:
    """That of a command which goes on where it was stopped."""
    try:
        return main()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except (Stopped, KeyboardInterrupt) as stopped:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return stopped.exit_code if isinstance(stopped, Stopped) else EXIT_INTERRUPTED

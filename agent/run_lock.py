"""One process a run folder, and nothing in it that leads elsewhere: what else wants to write is refused."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from regoal.agent.durable import remedy
from regoal.errors import BadInput

LOCK = ".lock"  # a file in the run folder
WRITTEN = (LOCK, "config.toml", "run.toml", "metrics.csv", "episodes.csv", "checkpoints", "replay")


class RunLock:
    """Holds the lock of a run folder; use as a context manager.

    The system lets go of it when its process ends, however that happens: a lock is never left behind, only
    the file that says who had it last.

    Args:
        run: the folder, which must exist.

    Raises:
        BadInput: on entering, where another process has it, nothing can be written, or something in the
            folder is a link: what is written to it, or swept away below it, would be elsewhere.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._path = run / LOCK

    def __enter__(self) -> "RunLock":
        try:
            self._descriptor = self._taken()
        except OSError as error:
            got, fix = f"{self._run} ({error})", f"{remedy(error)}.".capitalize()
            raise BadInput("run", "a folder that can be written to", got, fix) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release(self._descriptor)

    def _release(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):  # a file without a lock does no harm
            self._path.unlink()
        os.close(descriptor)

    def _taken(self) -> int:
        descriptor = self._locked()
        while not self._is_in_place(descriptor):  # whoever had it took the file away in the meantime
            os.close(descriptor)
            descriptor = self._locked()
        try:
            self._require_own()
            with contextlib.suppress(OSError):  # a full disk takes no name, and needs none
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BaseException:
            self._release(descriptor)
            raise
        return descriptor

    def _locked(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise BadInput(
                "run",
                "a folder that no other process writes to",
                f"{self._run}, held by {holder or 'another process'}",
                "Wait for it to end, or stop it.",
            ) from None
        return descriptor

    def _is_in_place(self, descriptor: int) -> bool:
        """Whether what is locked is still the file that others would lock.

        On a network file system its name may be remembered for a while after another machine took it away;
        a lock brings the facts of the file itself up to date, so that it has no name left then.
        """
        try:
            facts = os.fstat(descriptor)
            return facts.st_nlink > 0 and os.path.samestat(facts, self._path.stat())
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return False
            raise

    def _require_own(self) -> None:
        for name in WRITTEN:
            for path in _below(self._run / name):
                facts = path.lstat()
                file = stat.S_ISREG(facts.st_mode)
                # What is appended to must not have a second name elsewhere; the rest is never changed.
                twice = file and facts.st_nlink > 1 and path.parent == self._run
                if twice or not (file or stat.S_ISDIR(facts.st_mode)):
                    got = "a link, or no file at all"
                    raise BadInput(
                        f"{path}", "a file or folder of the run's own", got, "Put a copy in its place."
                    )


def holder_of(run: Path) -> tuple[str, bool]:
    """Who had the lock of a folder last, as it says there, and whether anybody has it now.

    Args:
        run: the folder.

    Raises:
        OSError: nobody has, or it cannot be looked at.
    """
    descriptor = os.open(run / LOCK, os.O_RDWR | os.O_NOFOLLOW)  # some file systems want to write to lock
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = False  # and let go of by closing it
        except BlockingIOError:
            held = True
        return os.read(descriptor, 200).decode(errors="replace").strip(), held
    finally:
        os.close(descriptor)


def _below(path: Path) -> Iterator[Path]:
    """A file, or a folder and two levels of what is in it."""
    if os.path.lexists(path):
        yield path
    yield from path.glob("*")
    yield from path.glob("*/*")

"""One process a run folder: a second one that wants to write there is refused."""

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

from regoal.errors import BadInput

LOCK = ".lock"  # a file in the run folder


class RunLock:
    """Holds the lock of a run folder; use as a context manager.

    The system lets go of it when its process ends, however that happens: a lock is never left behind, only
    the file that says who had it last.

    Args:
        run: the folder, which must exist.

    Raises:
        BadInput: on entering, where another process has it.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._path = run / LOCK

    def __enter__(self) -> "RunLock":
        descriptor = self._locked()
        while not self._is_in_place(descriptor):  # whoever had it took the file away in the meantime
            os.close(descriptor)
            descriptor = self._locked()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _locked(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
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
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

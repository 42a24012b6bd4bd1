"""What makes a file safe to rely on: it reaches the disk, it is a file of its own, and its hash is known."""

import contextlib
import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from regoal.errors import BadInput

REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n 1024)",
    errno.ENFILE: "close what holds so many files open",
    errno.EIO: "copy it to a disk that is sound",
}
DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)  # it is not there, or no file
MOST_JSON_BYTES = 1 << 26  # of a text that is parsed; what we write is far smaller


def sync(path: Path) -> None:
    """See to it that a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def plain_file(path: Path, most: int) -> Iterator[BufferedReader]:
    """Open a file to read: no link, no pipe, and of no more than so many bytes.

    Raises:
        OSError: there is none, or it is something else.
    """
    if path.is_symlink():
        raise OSError(f"{path.name} is a link")
    # Without O_NONBLOCK a pipe would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{path.name} is no plain file")
        if facts.st_size > most:
            raise OSError(f"{path.name} has {facts.st_size:,} bytes, more than {most:,}")
        yield file


def read_plain(path: Path, most: int) -> bytes:
    """The contents of a `plain_file`."""
    with plain_file(path, most) as file:
        return file.read(most + 1)


def matches(path: Path, size: int, digest: str, most: int) -> bool:
    """Whether a file has the size and the SHA-256, in little memory whatever its size.

    Raises:
        OSError: it is no `plain_file` of at most so many bytes.
    """
    with plain_file(path, most) as file:
        if os.fstat(file.fileno()).st_size != size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def require_damage(path: Path, error: OSError) -> None:
    """That what could not be read never will be, as where it is not there: it may be taken away.

    Raises:
        BadInput: a disk or a network may let it be read another time.
    """
    if error.errno is not None and error.errno not in DAMAGE:
        fix = "Nothing was taken away: see to the disk, then go on (a benchmark with --retry)."
        raise BadInput(f"{path}", "a file that can be read", str(error), fix) from error


def remedy(error: OSError) -> str:
    """What helps against an error in writing."""
    return REMEDIES.get(error.errno, "make it writable")


def sha256(contents: bytes) -> str:
    """The hash that contents are known by."""
    return hashlib.sha256(contents).hexdigest()


def parsed(text: bytes) -> Any:
    """JSON without what is no JSON: NaN, infinities, the same key twice, or nesting beyond all use.

    Raises:
        ValueError: it is not.
    """
    try:
        return json.loads(
            text.decode(), parse_constant=_refused, parse_float=_finite, object_pairs_hook=_different_keys
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found

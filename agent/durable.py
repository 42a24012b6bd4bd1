"""What makes a file safe to rely on: it reaches the disk, and its contents are known by their hash."""

import hashlib
import os
from pathlib import Path


def sync(path: Path) -> None:
    """See to it that a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(contents: bytes) -> str:
    """The hash that contents are known by."""
    return hashlib.sha256(contents).hexdigest()

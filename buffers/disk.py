"""Arrays larger than memory: in a file that has no name, so that nothing is left behind, whatever happens."""

import mmap
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regoal.errors import BadInput

SPARE_BYTES = 1 << 30  # left free for everything else that is written


def array_on_disk(folder: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A float32 array of the shape, memory-mapped from a new file in the folder's file system.

    The space is reserved at once, so a full disk is an error now and not a crash later. The operating
    system keeps in memory what was used last and gives it up when memory is short. The file goes with
    the array, or with the process.

    Raises:
        BadInput: there is not enough room, or nothing can be written there.
    """
    size = max(4 * shape[0] * shape[1], 1)
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise BadInput(
            "buffer_on_disk",
            f"{(size + SPARE_BYTES) / 1e9:.1f} GB free at {folder}",
            f"{free / 1e9:.1f} GB",
            "Lower --set capacity=..., or put the run folder on a larger disk.",
        )
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                os.ftruncate(file.fileno(), size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise BadInput("buffer_on_disk", f"a file that can be written in {folder}", str(error)) from error
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_RANDOM)  # reading ahead would fetch what nobody asked for
    return np.ndarray(shape, np.float32, buffer=mapped)

"""Files that are written beside their place and then renamed: whoever is killed leaves the former one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of the file when all went well and is gone otherwise."""
    stage = path.with_name(f".{path.name}-{os.getpid()}")  # nobody else's
    stage.unlink(missing_ok=True)
    stage.touch(exist_ok=False)  # so that nothing is written through a link
    try:
        yield stage
        stage.rename(path)
    finally:
        stage.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a text file in place of the former one."""
    with staged(path) as stage:
        stage.write_text(text)

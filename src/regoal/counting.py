"""Counting episodes for whoever waits for them."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def counted(total: int, label: str, quiet: bool = False) -> Iterator[Callable[[], object]]:
    """Counts calls of what it yields, as a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="episode", leave=False) as shown:
        yield lambda: shown.update(1)

"""Experience: episode storage, hindsight relabelling and its strategies, batches."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.buffers.batch import Batch
    from regoal.buffers.episode import Episode
    from regoal.buffers.hindsight import HindsightBuffer
    from regoal.buffers.mixed import MixedReplay

_HOME = {"Batch": "batch", "Episode": "episode", "HindsightBuffer": "hindsight", "MixedReplay": "mixed"}

__all__ = ["Batch", "Episode", "HindsightBuffer", "MixedReplay"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

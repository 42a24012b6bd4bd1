"""What a run makes of the machine: how many processes, and how its memory is handed out."""

import ctypes
import multiprocessing
import os
import sys

from regoal.agent.config import AUTO, TrainConfig
from regoal.envs.recipe import EnvRecipe, buildable_elsewhere
from regoal.errors import BadInput


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(config: TrainConfig, recipe: EnvRecipe) -> int:
    """Rollout workers for a run.

    Left to choose, one core is for learning and the others play, no more of them than a block has
    episodes. A run that is itself one of several processes has no cores to spare. An env that the user's
    script has registered is played in the script's own process, the only one that knows it.

    Raises:
        BadInput: workers are asked for, and could not build the env.
    """
    elsewhere = buildable_elsewhere(recipe)
    if config.workers > 0 and not elsewhere:
        raise BadInput(
            "workers",
            "an env that another process can build",
            f"{recipe.env_id}, which this script registered",
            "Register it in a module of its own and name that, module:namespace/Id-v0, or use workers=0.",
        )
    if config.workers != AUTO:
        return config.workers
    if not elsewhere or multiprocessing.parent_process() is not None:
        return 0
    return min(cores() - 1, config.block_episodes)


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed instead of giving it back to the system.

    An update frees and asks for the same megabytes hundreds of times a second. Given back and asked for
    anew, each of their pages has to be faulted in and cleared: a tenth of the time of an update.
    """
    if sys.platform == "linux":
        try:
            glibc = ctypes.CDLL("libc.so.6")
        except OSError:  # another C library, with habits of its own
            return
        m_trim_threshold, m_mmap_threshold = -1, -3
        glibc.mallopt(m_mmap_threshold, 32 << 20)  # the most it takes
        glibc.mallopt(m_trim_threshold, 256 << 20)

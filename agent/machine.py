"""What a run makes of the machine: how many processes play, and which device learns."""

import multiprocessing
import os

from regoal.agent.config import AUTO, TrainConfig
from regoal.envs.recipe import EnvRecipe, buildable_elsewhere
from regoal.errors import BadInput


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of the machine [bytes], as far as the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 1 << 62


def worker_count(config: TrainConfig, recipe: EnvRecipe) -> int:
    """Rollout workers for a run.

    Left to choose, one core is for learning and the others play, no more of them than a block has
    episodes. A run that is itself one of several processes has no cores to spare. An env or a shift that the
    user's script has registered is played in the script's own process, the only one that knows it.

    Raises:
        BadInput: workers are asked for, and could not build the env.
    """
    elsewhere = buildable_elsewhere(recipe)
    if config.workers > 0 and not elsewhere:
        raise BadInput(
            "workers",
            "an env and a shift that another process can build",
            f"{recipe.env_id}{' with ' + recipe.shift if recipe.shift else ''}, which only this script knows",
            "Register it in a module of its own and name that, module:namespace/Id-v0, or use workers=0.",
        )
    if config.workers != AUTO:
        return config.workers
    if not elsewhere or multiprocessing.parent_process() is not None:
        return 0
    return min(cores() - 1, config.block_episodes)


def learning_device(name: str) -> str:
    """The device that learns, if this machine has it.

    Raises:
        BadInput: PyTorch does not know it or cannot use it here.
    """
    import torch

    try:
        torch.empty(1, device=torch.device(name))
    except (RuntimeError, AssertionError) as error:
        raise BadInput(
            "device",
            "a device that PyTorch can use here, cpu or cuda",
            f"{name!r} ({str(error).splitlines()[0]})",
            "Use --device cpu, or install a PyTorch build for your GPU.",
        ) from error
    return name

"""Reinforcement learning with hindsight fine-tuning: pretrain, shift, fine-tune, compare."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.agent.config import DDPGConfig, FinetuneConfig, SACConfig, TrainConfig
    from regoal.agent.finetuning import finetune
    from regoal.agent.policy import Policy
    from regoal.agent.training import resume, train
    from regoal.agent.trust import trust
    from regoal.benchmarks.presets import preset
    from regoal.envs.recipe import make
    from regoal.errors import BadInput, EnvFault

__version__ = "0.1.0"

_HOME = {
    "BadInput": "regoal.errors",
    "DDPGConfig": "regoal.agent.config",
    "EnvFault": "regoal.errors",
    "FinetuneConfig": "regoal.agent.config",
    "Policy": "regoal.agent.policy",
    "SACConfig": "regoal.agent.config",
    "TrainConfig": "regoal.agent.config",
    "finetune": "regoal.agent.finetuning",
    "make": "regoal.envs.recipe",
    "preset": "regoal.benchmarks.presets",
    "resume": "regoal.agent.training",
    "train": "regoal.agent.training",
    "trust": "regoal.agent.trust",
}

__all__ = [
    "BadInput",
    "DDPGConfig",
    "EnvFault",
    "FinetuneConfig",
    "Policy",
    "SACConfig",
    "TrainConfig",
    "__version__",
    "finetune",
    "make",
    "preset",
    "resume",
    "train",
    "trust",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)

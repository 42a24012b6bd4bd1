"""Learning: networks, normaliser, DDPG, SAC, rollout, training, fine-tuning, evaluation, checkpoints.

The names below are what an agent of one's own is made of.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regoal.agent.anchor import Pull
    from regoal.agent.inputs import NormalisedInput
    from regoal.agent.learner import Learner, policy_of
    from regoal.agent.networks import Ensemble
    from regoal.agent.normaliser import Normaliser
    from regoal.agent.optimisation import Adam, descend, polyak
    from regoal.agent.policy import Exploration, Policy
    from regoal.agent.seeding import Stream, torch_generator

_HOME = {
    "Adam": "optimisation",
    "Ensemble": "networks",
    "Exploration": "policy",
    "Learner": "learner",
    "NormalisedInput": "inputs",
    "Normaliser": "normaliser",
    "Policy": "policy",
    "Pull": "anchor",
    "Stream": "seeding",
    "descend": "optimisation",
    "policy_of": "learner",
    "polyak": "optimisation",
    "torch_generator": "seeding",
}

__all__ = [
    "Adam",
    "Ensemble",
    "Exploration",
    "Learner",
    "NormalisedInput",
    "Normaliser",
    "Policy",
    "Pull",
    "Stream",
    "descend",
    "policy_of",
    "polyak",
    "torch_generator",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

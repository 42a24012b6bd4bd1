"""A policy as it stands in a checkpoint: arrays and a few settings, and what they must be to be one."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from regoal.agent.array_file import Arrays
from regoal.agent.policy import Exploration, Policy
from regoal.errors import BadInput

OUTPUTS_PER_ACTION = {"deterministic": 1, "gaussian": 2}


def arrays_of(policy: Policy) -> Arrays:
    """Its arrays by name."""
    arrays: Arrays = {
        "mean": policy.mean,
        "std": policy.std,
        "action_low": policy.action_low,
        "action_high": policy.action_high,
    }
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        arrays |= {f"weight.{i}": weight, f"bias.{i}": bias}
    return arrays


def settings_of(policy: Policy) -> dict[str, Any]:
    """All else, for JSON."""
    return {
        "n_layers": len(policy.weights),
        "clip": policy.clip,
        "head": policy.head,
        "exploration": asdict(policy.exploration),
        "observation_size": policy.observation_size,
    }


def policy_of(arrays: Arrays, settings: Any, where: str) -> Policy:
    """The policy that `arrays_of` and `settings_of` were taken from.

    Raises:
        BadInput: they are not those of a policy that can act.
    """
    try:
        n = settings["n_layers"]
        if type(n) is not int or not 1 <= n <= len(arrays):
            raise ValueError(f"{n!r} layers")
        policy = Policy(
            weights=tuple(arrays[f"weight.{i}"] for i in range(n)),
            biases=tuple(arrays[f"bias.{i}"] for i in range(n)),
            mean=arrays["mean"],
            std=arrays["std"],
            clip=settings["clip"],
            head=settings["head"],
            exploration=Exploration(**settings["exploration"]),
            observation_size=settings["observation_size"],
            action_low=arrays["action_low"],
            action_high=arrays["action_high"],
        )
        _check(policy, arrays)
    except (KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise BadInput(
            where, "a policy that can act", got, "Copy the run again, or use another one."
        ) from error
    return policy


def _check(policy: Policy, arrays: Arrays) -> None:
    """That its parts fit together.

    Raises:
        ValueError: they do not.
    """
    if set(arrays) != set(arrays_of(policy)):
        raise ValueError(f"arrays {sorted(arrays)}")
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise ValueError(f"{name} of {array.dtype}")
    if policy.head not in OUTPUTS_PER_ACTION:
        raise ValueError(f"head {policy.head!r}")
    inputs, actions = policy.mean.size, policy.action_low.size
    sizes = [inputs, *(bias.size for bias in policy.biases)]
    expected: dict[str, tuple[int, ...]] = {
        "mean": (inputs,),
        "std": (inputs,),
        "action_low": (actions,),
        "action_high": (actions,),
    }
    for i, (outputs, into) in enumerate(zip(sizes[1:], sizes[:-1], strict=True)):
        expected |= {f"weight.{i}": (outputs, into), f"bias.{i}": (outputs,)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} of shape {arrays[name].shape}, expected {shape}")
    if not actions or sizes[-1] != actions * OUTPUTS_PER_ACTION[policy.head]:
        raise ValueError(f"{sizes[-1]} outputs for {actions} actions")
    if type(policy.observation_size) is not int or not 0 < policy.observation_size < inputs:
        raise ValueError(f"observation_size {policy.observation_size!r} of {inputs} inputs")
    with np.errstate(over="ignore"):
        spread = policy.action_high - policy.action_low
    if not (policy.std > 0).all() or not ((spread > 0) & np.isfinite(spread)).all():
        raise ValueError("a standard deviation or an action range that is none")
    exploration: Mapping[str, Any] = asdict(policy.exploration)
    for name, value in {"clip": policy.clip, **exploration}.items():
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} {value!r}")

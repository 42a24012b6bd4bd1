"""PointReach that breaks only after its 300th step, when the checks before training have long passed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from regoal.envs.point_reach import PointReach

SOUND_STEPS = 300


def _replace(key: str, value: Callable[[Any], Any]) -> Callable[..., Any]:
    def fault(observation: Any, *rest: Any) -> Any:
        return ({**observation, key: value(observation[key])}, *rest)

    return fault


def _drop(key: str) -> Callable[..., Any]:
    def fault(observation: Any, *rest: Any) -> Any:
        return ({name: value for name, value in observation.items() if name != key}, *rest)

    return fault


def _raise(*result: Any) -> Any:
    raise RuntimeError("the simulator fell over")


FAULTS: dict[str, Callable[..., Any]] = {
    "Nan": _replace("observation", lambda value: value * np.nan),
    "InfiniteGoal": _replace("achieved_goal", lambda value: value + np.inf),
    "MissingKey": _drop("achieved_goal"),
    "WrongShape": _replace("observation", lambda value: value[:3]),
    "MovingGoal": _replace("desired_goal", lambda value: value + 1),
    "NoSuccess": lambda observation, reward, terminated, truncated, info: (
        observation,
        reward,
        terminated,
        truncated,
        {},
    ),
    "CrashPenalty": lambda observation, reward, *rest: (observation, reward - 5, *rest),
    "NanReward": lambda observation, reward, *rest: (observation, float("nan"), *rest),
    "Terminates": lambda observation, reward, terminated, truncated, info: (
        observation,
        reward,
        True,
        truncated,
        info,
    ),
    "Raises": _raise,
}


class Late(PointReach):
    """Sound for a while, then every step goes through the fault."""

    def __init__(self, fault: Callable[..., Any]) -> None:
        super().__init__()
        self._fault, self._steps = fault, 0

    def step(self, action: Any) -> Any:
        result = super().step(action)
        self._steps += 1
        return result if self._steps <= SOUND_STEPS else self._fault(*result)


for _name, _fault in FAULTS.items():
    if f"late/{_name}-v0" not in gym.registry:
        gym.register(f"late/{_name}-v0", entry_point=partial(Late, fault=_fault), max_episode_steps=50)

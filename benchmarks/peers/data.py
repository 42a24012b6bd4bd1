"""Made-up episodes of FetchPush's shapes, the same for every library."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENV = "FetchPush-v4"
OBSERVATION, GOAL, ACTION, STEPS = 25, 3, 4, 50
THRESHOLD = 0.05  # FetchPush's, in metres

Array = NDArray[Any]


@dataclass(frozen=True)
class Episodes:
    """n episodes of 50 steps.

    Attributes:
        observation: (n, 51, 25) float64.
        achieved_goal: (n, 51, 3) float64.
        desired_goal: (n, 3) float64.
        action: (n, 50, 4) float32.
    """

    observation: Array
    achieved_goal: Array
    desired_goal: Array
    action: Array

    @property
    def reward(self) -> Array:
        """(n, 50) float32: 0 within the threshold of the goal, else -1."""
        distance = np.linalg.norm(self.achieved_goal[:, 1:] - self.desired_goal[:, None], axis=-1)
        reward: Array = -(distance > THRESHOLD).astype(np.float32)
        return reward

    def flat(self, key: str, after: bool = False) -> Array:
        """Values at t, or at t + 1, of all transitions in their order: (50 n, size)."""
        value: Array = getattr(self, key)
        if key == "desired_goal":
            return np.repeat(value, STEPS, axis=0)
        if key == "action":
            return value.reshape(-1, value.shape[-1])
        return (value[:, 1:] if after else value[:, :-1]).reshape(-1, value.shape[-1])


def episodes(n_transitions: int, seed: int = 0) -> Episodes:
    """Goals that walk a centimetre a step from somewhere in a cube of 30 cm."""
    n = n_transitions // STEPS
    rng = np.random.default_rng(seed)
    walk = rng.normal(0, 0.006, (n, STEPS + 1, GOAL)).cumsum(axis=1) + rng.uniform(0, 0.3, (n, 1, GOAL))
    observation = np.empty((n, STEPS + 1, OBSERVATION))
    observation[:] = rng.standard_normal((1, STEPS + 1, OBSERVATION))
    observation[..., :GOAL] = walk
    return Episodes(
        observation=observation,
        achieved_goal=walk,
        desired_goal=rng.uniform(0, 0.3, (n, GOAL)),
        action=rng.uniform(-1, 1, (n, STEPS, ACTION)).astype(np.float32),
    )


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

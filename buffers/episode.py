"""One finished episode, as a rollout hands it over and a buffer takes it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Episode:
    """T steps and the T + 1 states between which they lie.

    Goals keep the env's own dtype, so that rewards can be verified exactly before they are stored as
    float32.

    Attributes:
        observation: (T + 1, observation_size).
        achieved_goal: (T + 1, goal_size).
        desired_goal: (goal_size,), the same for the whole episode.
        action: (T, action_size) in [-1, 1]: the agent's units, not the env's.
        reward: (T,), as the env gave it.
        terminated: whether the last step terminated the episode; a time limit does not.
        success: (T,) whether the goal was reached after each step.
        index: number of the episode in its run.
        shift: canonical text of the shift this episode was played under.
        env: id of the env it was played in.
        rank: (T + 1,) of what each state achieved, the lower the more it was wanted when the episode ended
            (`wanted`); None where it was not worked out.
    """

    observation: Array
    achieved_goal: Array
    desired_goal: Array
    action: Array
    reward: Array
    terminated: bool
    success: NDArray[np.bool_]
    index: int = 0
    shift: str = ""
    env: str = ""
    rank: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.action)

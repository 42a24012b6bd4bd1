"""A batch of transitions, as an agent's update takes it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """n transitions; one desired goal serves both ends of each.

    Attributes:
        observation, next_observation: (n, observation_size) float32.
        desired_goal: (n, goal_size) float32, relabelled in the first `n_relabelled` rows.
        action: (n, action_size) float32 in [-1, 1].
        reward: (n,) float32, for `desired_goal`.
        terminated: (n,) bool, for `desired_goal`. Truncation is not termination: bootstrap through it.
        n_relabelled: how many rows, from the first, carry a hindsight goal.
    """

    observation: Tensor
    next_observation: Tensor
    desired_goal: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    n_relabelled: int

    def __len__(self) -> int:
        return len(self.action)

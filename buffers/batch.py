"""A batch of transitions, as an agent's update takes it."""

from dataclasses import dataclass, replace

import torch
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

    def to(self, device: str) -> "Batch":
        """The batch on a device: itself where it is there already."""
        if self.action.device.type == device:
            return self
        return replace(
            self,
            observation=self.observation.to(device),
            next_observation=self.next_observation.to(device),
            desired_goal=self.desired_goal.to(device),
            action=self.action.to(device),
            reward=self.reward.to(device),
            terminated=self.terminated.to(device),
        )


class BatchMemory:
    """Memory for n transitions that a buffer writes and an update reads, without a copy in between.

    Attributes:
        ends: (n, 2, observation_size + goal_size + action_size) rows at t and at t + 1, as they are stored.
        desired_goal: (n, goal_size).
        reward: (n,).
        terminated: (n,).
    All are numpy views of the tensors in `batch`.
    """

    def __init__(self, n: int, observation_size: int, goal_size: int, action_size: int) -> None:
        size = observation_size + goal_size + action_size
        ends = torch.empty(n, 2, size)
        desired_goal, reward = torch.empty(n, goal_size), torch.empty(n)
        terminated = torch.empty(n, dtype=torch.bool)
        self.ends, self.desired_goal = ends.numpy(), desired_goal.numpy()
        self.reward, self.terminated = reward.numpy(), terminated.numpy()
        self.next_achieved_goal = self.ends[:, 1, observation_size : observation_size + goal_size]
        self._tensors = {
            "observation": ends[:, 0, :observation_size],
            "next_observation": ends[:, 1, :observation_size],
            "desired_goal": desired_goal,
            "action": ends[:, 0, size - action_size :],
            "reward": reward,
            "terminated": terminated,
        }

    def batch(self, n_relabelled: int) -> Batch:
        """What was written, as a batch."""
        return Batch(**self._tensors, n_relabelled=n_relabelled)

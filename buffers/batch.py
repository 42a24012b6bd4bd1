"""A batch of transitions, as an agent's update takes it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regoal.buffers.sizes import Sizes


@dataclass(frozen=True)
class Batch:
    """n transitions; one desired goal serves both ends of each.

    Attributes:
        observation, next_observation: (n, observation_size) float32.
        desired_goal: (n, goal_size) float32, hindsight or real.
        action: (n, action_size) float32 in [-1, 1].
        reward: (n,) float32, for `desired_goal`.
        terminated: (n,) bool, for `desired_goal`. Truncation is not termination: bootstrap through it.
        new_goal: (n,) bool, whether the row carries a hindsight goal that was not yet achieved at t and was
            later in its own episode; all False where the buffer was not asked to tell.
        n_relabelled: how many rows carry a hindsight goal: the first ones; in a mixed batch the first
            ones of each domain.
        n_source: how many rows, from the first, come from the source domain (`MixedReplay`).
    """

    observation: Tensor
    next_observation: Tensor
    desired_goal: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    new_goal: Tensor
    n_relabelled: int
    n_source: int = 0

    def __len__(self) -> int:
        return len(self.action)

    def to(self, device: str) -> "Batch":
        """The batch on a device: itself where it is there already."""
        if self.action.device == torch.device(device):
            return self
        return replace(
            self,
            observation=self.observation.to(device),
            next_observation=self.next_observation.to(device),
            desired_goal=self.desired_goal.to(device),
            action=self.action.to(device),
            reward=self.reward.to(device),
            terminated=self.terminated.to(device),
            new_goal=self.new_goal.to(device),
        )


@dataclass(frozen=True)
class BatchRows:
    """Consecutive rows of a `BatchMemory` for a buffer to fill: numpy views of its tensors.

    Attributes:
        ends: (n, 2, observation_size + goal_size + action_size) rows at t and at t + 1, as they are stored.
        achieved_goal, next_achieved_goal: (n, goal_size), views of `ends`.
        desired_goal: (n, goal_size).
        reward: (n,).
        terminated, new_goal: (n,).
    """

    ends: NDArray[np.float32]
    achieved_goal: NDArray[np.float32]
    next_achieved_goal: NDArray[np.float32]
    desired_goal: NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    new_goal: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.reward)


class BatchMemory:
    """Memory for n transitions that a buffer writes and an update reads, without a copy in between.

    Attributes:
        whole: all rows.
    """

    def __init__(self, n: int, observation_size: int, goal_size: int, action_size: int) -> None:
        size = observation_size + goal_size + action_size
        ends = torch.empty(n, 2, size)
        desired_goal, reward = torch.empty(n, goal_size), torch.empty(n)
        terminated, new_goal = torch.empty(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
        self._achieved = slice(observation_size, observation_size + goal_size)
        self.whole = self._rows(
            ends.numpy(), desired_goal.numpy(), reward.numpy(), terminated.numpy(), new_goal.numpy()
        )
        self._tensors = {
            "observation": ends[:, 0, :observation_size],
            "next_observation": ends[:, 1, :observation_size],
            "desired_goal": desired_goal,
            "action": ends[:, 0, size - action_size :],
            "reward": reward,
            "terminated": terminated,
            "new_goal": new_goal,
        }

    def part(self, rows: slice) -> BatchRows:
        """Some of the rows."""
        whole = self.whole
        return self._rows(
            whole.ends[rows],
            whole.desired_goal[rows],
            whole.reward[rows],
            whole.terminated[rows],
            whole.new_goal[rows],
        )

    def batch(self, n_relabelled: int, n_source: int = 0) -> Batch:
        """What was written, as a batch."""
        return Batch(**self._tensors, n_relabelled=n_relabelled, n_source=n_source)

    def _rows(self, ends: Any, desired_goal: Any, reward: Any, terminated: Any, new_goal: Any) -> BatchRows:
        achieved_goal, next_achieved_goal = ends[:, 0, self._achieved], ends[:, 1, self._achieved]
        return BatchRows(ends, achieved_goal, next_achieved_goal, desired_goal, reward, terminated, new_goal)


class ReusedMemory:
    """Hands out memory for batches: the same again and again to whoever says that it may be."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes.observation_size, sizes.goal_size, sizes.action_size
        self._reused: BatchMemory | None = None

    def of(self, batch_size: int, reuse: bool) -> BatchMemory:
        """Memory for so many transitions; with `reuse` that of the last such batch."""
        if reuse and self._reused is not None and len(self._reused.whole) == batch_size:
            return self._reused
        memory = BatchMemory(batch_size, *self._sizes)
        if reuse:
            self._reused = memory
        return memory

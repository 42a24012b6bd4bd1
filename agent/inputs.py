"""From observations and goals to what networks are fed."""

import torch
from torch import Tensor

from regoal.agent.normaliser import Normaliser
from regoal.buffers.batch import Batch


class NormalisedInput:
    """Turns observations and goals into network inputs with the statistics of a `Normaliser`."""

    def __init__(self, normaliser: Normaliser, device: str = "cpu") -> None:
        self._normaliser, self._device = normaliser, device
        self.clip = normaliser.clip
        self.refresh()

    def refresh(self) -> None:
        """Take over the statistics as they are now."""
        self._mean = torch.from_numpy(self._normaliser.mean).to(self._device)
        self._std = torch.from_numpy(self._normaliser.std).to(self._device)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation in use."""
        return self._mean, self._std

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Use others, until the next `refresh`."""
        self._mean, self._std = mean.to(self._device), std.to(self._device)

    def __call__(self, observation: Tensor, desired_goal: Tensor) -> Tensor:
        """(n, observation_size), (n, goal_size) to (n, both), clipped."""
        return self._normalised(torch.cat([observation, desired_goal], dim=-1))

    def both_ends(self, batch: Batch) -> Tensor:
        """(2n, both): the n inputs at t, then the n at t + 1, which share the goal."""
        n, size = batch.observation.shape
        x = batch.observation.new_empty(2, n, size + batch.desired_goal.shape[-1])
        x[0, :, :size], x[1, :, :size] = batch.observation, batch.next_observation
        x[:, :, size:] = batch.desired_goal
        return self._normalised(x.view(2 * n, -1))

    def _normalised(self, x: Tensor) -> Tensor:
        return x.sub_(self._mean).div_(self._std).clamp_(-self.clip, self.clip)

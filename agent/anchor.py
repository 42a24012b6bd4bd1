"""A decayed pull to the source policy: fine-tuning that does not forget at once what it came with."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from regoal.agent.inputs import NormalisedInput
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.buffers.batch import Batch


@dataclass(frozen=True)
class Pull:
    """What an actor is pulled to in one update.

    Attributes:
        action: (n, action_size) in [-1, 1], one for each transition of the batch.
        weight: of the mean squared distance to it in the actor's loss.
        rows: (n,) bool, the transitions where it pulls; all if not given.
    """

    action: Tensor
    weight: float
    rows: Tensor | None = None

    def loss(self, action: Tensor) -> Tensor:
        """weight * mean |action - that action|^2 (behaviour cloning term of Nair 2018, eq. 2)."""
        distance = (action - self.action).square().sum(dim=-1)
        return self.weight * (distance if self.rows is None else distance * self.rows).mean()


class Anchor:
    """The source's policy as it was when fine-tuning began, its input statistics included.

    Args:
        actor: copied.
        normaliser: with the source's statistics, which are copied too.
        action_size: length of an action; further outputs of the actor are left aside.
        device: where the actor lies.
    """

    def __init__(self, actor: Ensemble, normaliser: Normaliser, action_size: int, device: str) -> None:
        self._actor = deepcopy(actor).requires_grad_(False)
        self._input = NormalisedInput(normaliser, device)
        self._action_size = action_size

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays for a checkpoint: the source may be gone when a run goes on."""
        mean, std = self._input.statistics()
        actor = {f"actor.{key}": tensor for key, tensor in self._actor.state_dict().items()}
        return {
            key: tensor.cpu().numpy().copy() for key, tensor in (actor | {"mean": mean, "std": std}).items()
        }

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over the arrays of `state`."""
        tensors = {key: torch.from_numpy(value.copy()) for key, value in arrays.items()}
        self._actor.load_state_dict({key: tensors[f"actor.{key}"] for key in self._actor.state_dict()})
        self._input.set_statistics(tensors["mean"], tensors["std"])

    def refresh(self) -> None:
        """Take over the normaliser's statistics, which still are the source's but for the target's noise."""
        self._input.refresh()

    @torch.no_grad()
    def pull(self, batch: Batch, weight: float) -> Pull:
        """The pull for a batch."""
        outputs = self._actor(self._input(batch.observation, batch.desired_goal))[0]
        return Pull(outputs[:, : self._action_size].tanh(), weight)

"""Networks of actors and critics, and the target step they share."""

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regoal.agent.normaliser import Normaliser


class Linear(nn.Module):
    """`nn.Linear` with its initial weights drawn from the generator it is given."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class MLP(nn.Module):
    """ReLU network, (n, sizes[0]) to (n, sizes[-1])."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(i, o, generator) for i, o in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class EnsembleCritic(nn.Module):
    """n independent action values as one batched matrix product: (b, inputs), (b, actions) to (n, b)."""

    def __init__(
        self,
        n_critics: int,
        inputs: int,
        hidden: Sequence[int],
        generator: torch.Generator,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden, 1]
        self.n_critics = n_critics
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.scales, self.offsets = nn.ParameterList(), nn.ParameterList()
        for i, o in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(i)
            self.weights.append(torch.empty(n_critics, i, o).uniform_(-bound, bound, generator=generator))
            self.biases.append(torch.empty(n_critics, 1, o).uniform_(-bound, bound, generator=generator))
        for width in hidden if layer_norm else ():
            self.scales.append(torch.ones(n_critics, 1, width))
            self.offsets.append(torch.zeros(n_critics, 1, width))

    def forward(self, x: Tensor, action: Tensor) -> Tensor:
        h = torch.cat([x, action], dim=-1).expand(self.n_critics, -1, -1)
        for i in range(len(self.weights) - 1):
            h = torch.baddbmm(self.biases[i], h, self.weights[i])
            if self.scales:
                h = F.layer_norm(h, h.shape[-1:]) * self.scales[i] + self.offsets[i]
            h = F.relu(h)
        return torch.baddbmm(self.biases[-1], h, self.weights[-1]).squeeze(-1)


class NormalisedInput:
    """Turns observations and goals into network inputs with the statistics of a `Normaliser`."""

    def __init__(self, normaliser: Normaliser) -> None:
        self._normaliser = normaliser
        self.refresh()

    def refresh(self) -> None:
        """Take over the statistics as they are now."""
        self._mean = torch.from_numpy(self._normaliser.mean)
        self._std = torch.from_numpy(self._normaliser.std)

    def __call__(self, observation: Tensor, desired_goal: Tensor) -> Tensor:
        """(n, observation_size), (n, goal_size) to (n, both), clipped."""
        x = torch.cat([observation, desired_goal], dim=-1).sub_(self._mean).div_(self._std)
        return x.clamp_(-self._normaliser.clip, self._normaliser.clip)


def regress(
    critic: EnsembleCritic, optimiser: torch.optim.Optimizer, x: Tensor, action: Tensor, target: Tensor
) -> dict[str, float]:
    """One step of every critic towards the target (n,): mean squared error, summed over critics."""
    q = critic(x, action)  # (critics, n)
    loss = F.mse_loss(q, target.expand_as(q)) * len(q)
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    return {"critic_loss": loss.item(), "q_mean": q.detach().mean().item()}


@torch.no_grad()
def polyak(target: Iterable[nn.Parameter], online: Iterable[nn.Parameter], tau: float) -> None:
    """target <- (1 - tau) * target + tau * online (Lillicrap 2016, algorithm 1)."""
    torch._foreach_lerp_(list(target), list(online), tau)


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam with one fused step for all tensors."""
    return torch.optim.Adam(parameters, lr=lr, fused=True)

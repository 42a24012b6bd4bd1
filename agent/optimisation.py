"""Steps of the weights: Adam (Kingma 2015) for parameters that are few and large, and the target's."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from regoal.agent.networks import Ensemble


class Adam:
    """Adam with the usual settings, one fused kernel a step.

    `torch.optim.Adam` does the same with the same kernel. What it does around it costs more than the
    kernel where a network is one flat parameter.

    Args:
        lr: step size.
        modules: whose parameters to step.
    """

    betas, eps = (0.9, 0.999), 1e-8

    def __init__(self, lr: float, *modules: nn.Module) -> None:
        self.lr = lr
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self._steps = [torch.zeros((), device=p.device) for p in self.parameters]
        self._first = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self._second = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]

    @property
    def steps(self) -> int:
        """Steps taken so far: a count that checkpoints keep."""
        return int(self._steps[0])

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Step every parameter that has a gradient (Kingma 2015, algorithm 1)."""
        rows = zip(self.parameters, self._first, self._second, self._steps, strict=True)
        parts = [(p, p.grad, m, v, n) for p, m, v, n in rows if p.grad is not None]
        parameters, gradients, first, second, steps = (list(part) for part in zip(*parts, strict=True))
        torch._foreach_add_(steps, 1.0)
        torch._fused_adam_(
            parameters,
            gradients,
            first,
            second,
            [],
            steps,
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint; they are those in use."""
        parts = {"step": self._steps, "exp_avg": self._first, "exp_avg_sq": self._second}
        return {f"{i}.{name}": tensor for name, part in parts.items() for i, tensor in enumerate(part)}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take over the tensors of `state`."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


@contextlib.contextmanager
def without_denormals() -> Iterator[None]:
    """Let numbers that are too small to be normal count as 0 in this thread.

    Where a unit is dead or the gradient has ended, Adam's mean of it dies away through numbers below 1e-38,
    with which a processor takes many times as long. No weight can tell them from 0. Outside of updates they
    stay, for physics is to be the same in all processes.
    """
    before = bool(torch.full((), 1e-40) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@torch.no_grad()
def polyak(target: Ensemble, online: Ensemble, tau: float) -> None:
    """target <- (1 - tau) * target + tau * online (Lillicrap 2016, algorithm 1)."""
    target.flat.lerp_(online.flat, tau)


def descend(optimiser: Adam, loss: Tensor, network: Ensemble) -> None:
    """One step of the network's optimiser down the gradient of the loss.

    The gradient is written where that of the last step was: a megabyte that is given back and asked for
    anew at every step costs as much as the step itself.
    """
    memory = network.gradient_memory()
    optimiser.zero_grad()
    network.gradient_place = memory
    torch.autograd.backward(loss)
    if network.gradient_place is None:  # a backward pass has used it
        rest, network.flat.grad = network.flat.grad, memory
        if rest is not None:  # of a second backward pass
            memory += rest
    network.gradient_place = None
    optimiser.step()

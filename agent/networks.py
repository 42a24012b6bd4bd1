"""Networks of actors and critics: ensembles of ReLU networks, with a backward pass of their own.

Autograd would do, and is what the backward pass here is tested against. Written out, it allocates less,
knows that a critic has one output, leaves out rows that no gradient flows through, and does not work out
gradients that nobody asked for: about a quarter off the time of an update.
"""

import itertools
import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regoal.agent.adam import Adam
from regoal.agent.normaliser import Normaliser
from regoal.buffers.batch import Batch

NARROW = 32  # outputs below which matrix products of this library are slow one way round

Layer = tuple[Tensor, Tensor]  # weight (..., inputs, outputs), bias (..., 1, outputs)


class Scratch:
    """Memory for what passes through a network, the same for the same use every time.

    Megabytes that are still in the processor's cache are written several times faster than fresh ones.
    What one pass keeps for its backward pass is not written by another while it is held.
    """

    def __init__(self) -> None:
        self._places: dict[Any, Tensor] = {}
        self._held: weakref.ref[_Hold] | None = None

    def place(self, use: str, number: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Memory of the shape for the use."""
        key = use, number, tuple(shape), like.device
        if key not in self._places:
            self._places[key] = like.new_empty(shape)
        return self._places[key]

    def hold(self) -> "_Hold | None":
        """The right to what is kept, until it is dropped; None while somebody else has it."""
        if self._held is not None and self._held() is not None:
            return None
        hold = _Hold()
        self._held = weakref.ref(hold)
        return hold


class _Hold:
    """Dropped with the pass that has it."""


class Ensemble(nn.Module):
    """n independent ReLU networks, side by side: one batched matrix product a layer for all of them.

    Args:
        n_networks: how many.
        sizes: widths from the input to the output.
        generator: of the initial weights, which are those of `nn.Linear`.
        layer_norm: LayerNorm (Ba 2016) after every hidden layer, before the ReLU.

    Attributes:
        flat: all parameters in one tensor, so that the optimiser and the target step are one call each.
        gradient_place: where the next backward pass puts the gradient of `flat` instead of returning it;
            `descend` sets it, and a backward pass that uses it takes it away.
    """

    def __init__(
        self, n_networks: int, sizes: Sequence[int], generator: torch.Generator, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.n_networks, self.sizes, self.layer_norm = n_networks, tuple(sizes), layer_norm
        self.gradient_place: Tensor | None = None
        self._gradient_memory: Tensor | None = None
        self._views: dict[int, list[Layer]] = {}
        self.scratch = Scratch()
        self._shapes: list[tuple[int, int, int]] = []
        for inputs, outputs in itertools.pairwise(sizes):
            self._shapes += [(n_networks, inputs, outputs), (n_networks, 1, outputs)]
        for width in sizes[1:-1] if layer_norm else ():
            self._shapes += [(n_networks, 1, width), (n_networks, 1, width)]
        self._lengths = [math.prod(shape) for shape in self._shapes]
        self.flat = nn.Parameter(torch.zeros(sum(self._lengths)))
        with torch.no_grad():
            for (weight, bias), inputs in zip(self.layers(), sizes, strict=False):
                bound = 1 / math.sqrt(inputs)
                weight.uniform_(-bound, bound, generator=generator)
                bias.uniform_(-bound, bound, generator=generator)
            for scale, _ in self.norms():
                scale.fill_(1.0)

    def layers(self, flat: Tensor | None = None) -> list[Layer]:
        """Weight and bias of every layer, (networks, ...) views of the flat parameters.

        They are not tracked by autograd unless the parameters are given.
        """
        parts = self._parts(self.flat.detach() if flat is None else flat)
        return [(parts[i], parts[i + 1]) for i in range(0, 2 * (len(self.sizes) - 1), 2)]

    def norms(self, flat: Tensor | None = None) -> list[Layer]:
        """Scale and offset of every LayerNorm, likewise."""
        parts = self._parts(self.flat.detach() if flat is None else flat)
        return [(parts[i], parts[i + 1]) for i in range(2 * (len(self.sizes) - 1), len(parts), 2)]

    def forward(self, x: Tensor, action: Tensor | None = None, tracked: int | None = None) -> Tensor:
        """(b, inputs), for critics with (b, action_size) beside it, to (networks, b, outputs).

        Args:
            x: inputs.
            action: further inputs.
            tracked: rows, from the first, that a gradient is wanted for; all if not given.
        """
        if self.layer_norm:
            return self.plain(x, action)
        out: Tensor = _Stack.apply(self.flat, x, action, self, tracked)  # type: ignore[no-untyped-call]
        return out

    def plain(self, x: Tensor, action: Tensor | None = None) -> Tensor:
        """The same by autograd."""
        *hidden, (weight, bias) = self.layers(self.flat)
        norms = self.norms(self.flat)
        h = _joined(x, action).expand(self.n_networks, -1, -1)
        for i, (w, b) in enumerate(hidden):
            h = torch.baddbmm(b, h, w)
            if norms:
                scale, offset = norms[i]
                h = F.layer_norm(h, h.shape[-1:]) * scale + offset
            h = F.relu(h)
        return torch.baddbmm(bias, h, weight)

    def gradient_memory(self) -> Tensor:
        """Memory for a gradient of the flat parameters, the same at every call."""
        if self._gradient_memory is None or self._gradient_memory.device != self.flat.device:
            self._gradient_memory = torch.empty_like(self.flat, requires_grad=False)
        return self._gradient_memory

    def stacked(self, flat: Tensor) -> list[Layer]:
        """The layers; those of a single network as matrices, whose product is faster than a stack's."""
        key = flat.data_ptr()
        if key not in self._views:
            layers = self.layers(flat.detach())
            if self.n_networks == 1:
                layers = [(weight[0], bias[0]) for weight, bias in layers]
            # Of the parameters and of the gradient's place; others come and go.
            self._views = dict(list(self._views.items())[-1:]) | {key: layers}
        return self._views[key]

    def __getstate__(self) -> dict[str, Any]:
        # Copies must not look at the parameters of the original.
        own: dict[str, Any] = {
            "_views": {},
            "_gradient_memory": None,
            "gradient_place": None,
            "scratch": Scratch(),
        }
        return self.__dict__ | own

    def _parts(self, flat: Tensor) -> list[Tensor]:
        parts = torch.split(flat, self._lengths)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]


class _Stack(torch.autograd.Function):
    """Forward and backward pass of an ensemble without LayerNorm."""

    @staticmethod
    def forward(
        ctx: Any, flat: Tensor, x: Tensor, action: Tensor | None, net: Ensemble, tracked: int | None
    ) -> Tensor:
        layers, h = net.stacked(flat), _joined(x, action)
        if net.n_networks > 1:
            h = h.expand(net.n_networks, -1, -1)
        kept, needed = [h], any(ctx.needs_input_grad)
        ctx.hold = net.scratch.hold() if needed else None
        for i, (weight, bias) in enumerate(layers[:-1]):
            shape = *h.shape[:-1], weight.shape[-1]
            place: Tensor | None = None
            if not needed:
                place = net.scratch.place("passed on", i % 2, shape, h)
            elif ctx.hold is not None:
                place = net.scratch.place("kept", i, shape, h)
            h = _affine(bias, h, weight, out=place).relu_()
            kept.append(h)
        ctx.save_for_backward(*kept)
        ctx.layers, ctx.net, ctx.x_size, ctx.tracked = layers, net, x.shape[-1], tracked
        out = (
            _values(*layers[-1], h) if net.sizes[-1] == 1 else _affine(layers[-1][1], h, layers[-1][0], None)
        )
        return out if net.n_networks > 1 else out.unsqueeze(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        for_flat, for_x, for_action, *_ = ctx.needs_input_grad
        ctx.hold = None
        kept, layers, net, x_size = ctx.saved_tensors, ctx.layers, ctx.net, ctx.x_size
        if ctx.tracked is not None:
            grad = grad[:, : ctx.tracked]
            kept = [h[..., : ctx.tracked, :] for h in kept]
        if not (for_flat or for_x):
            return None, None, _action_gradient(grad, net, kept, layers, x_size), None, None
        if net.n_networks == 1:
            grad = grad[0]
        place, net.gradient_place = net.gradient_place, None
        flat = torch.empty_like(net.flat) if place is None else place
        gradients = net.stacked(flat)
        for i in range(len(layers) - 1, -1, -1):
            _weight_gradient(kept[i], grad, gradients[i][0])
            torch.sum(grad, dim=-2, keepdim=True, out=gradients[i][1])
            if i > 0:
                memory = net.scratch.place("gradient", i % 2, kept[i].shape, grad)
                grad = _backward_through(grad, layers[i][0].mT, kept[i], memory)
        for_input = None
        if for_x or for_action:
            for_input = _product(grad, layers[0][0].mT)
            for_input = for_input.sum(dim=0) if net.n_networks > 1 else for_input
        return (
            flat if for_flat and place is None else None,
            for_input[:, :x_size] if for_input is not None and for_x else None,
            for_input[:, x_size:] if for_input is not None and for_action else None,
            None,
            None,
        )


def _affine(bias: Tensor, h: Tensor, weight: Tensor, out: Tensor | None) -> Tensor:
    if h.dim() == 2:
        return torch.addmm(bias, h, weight, out=out)
    return torch.baddbmm(bias, h, weight, out=out)


def _product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Matrix product of matrices or of stacks of them, without the detours of `torch.matmul`."""
    return torch.mm(a, b, out=out) if a.dim() == 2 else torch.bmm(a, b, out=out)


def _values(weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:
    """The layer with one output, for which a matrix product is mostly overhead."""
    if h.dim() == 2:
        return torch.mv(h, weight[:, 0]).unsqueeze(-1).add_(bias)
    values = [torch.mv(one, w[:, 0]) for one, w in zip(h, weight, strict=True)]
    return torch.stack(values).unsqueeze(-1).add_(bias)


def _weight_gradient(inputs: Tensor, grad: Tensor, out: Tensor) -> None:
    """inputs^T @ grad; for few outputs as (grad^T @ inputs)^T, which is several times faster."""
    if grad.shape[-1] < NARROW:
        out.copy_(_product(grad.mT, inputs).mT)
    else:
        _product(inputs.mT, grad, out=out)


def _action_gradient(
    grad: Tensor, net: Ensemble, kept: Sequence[Tensor], layers: Sequence[Layer], x_size: int
) -> Tensor:
    """Gradient (b, action_size) of what the actor ascends, network by network.

    Where it is the least of several critics, each row's gradient flows through one of them alone: rows
    that are zero are left out, which halves the work for two critics.
    """
    total = grad.new_zeros(grad.shape[1], layers[0][0].shape[-2] - x_size)
    for n in range(net.n_networks):
        rows = grad[n, :, 0].nonzero().squeeze(-1)
        if not len(rows):
            continue
        every = len(rows) == grad.shape[1]
        g = grad[n] if every else grad[n].index_select(0, rows)
        for i in range(len(layers) - 1, 0, -1):
            w, active = (layers[i][0], kept[i]) if net.n_networks == 1 else (layers[i][0][n], kept[i][n])
            g = _backward_through(g, w.mT, active if every else active.index_select(0, rows), None)
        first = layers[0][0] if net.n_networks == 1 else layers[0][0][n]
        total.index_add_(0, rows, g @ first[x_size:].mT)
    return total


def _backward_through(grad: Tensor, weight: Tensor, active: Tensor, place: Tensor | None) -> Tensor:
    """Gradient before a ReLU from that behind the layer that follows it; `active` is the ReLU's output."""
    # With one output the product of a column and a row needs no matrix product.
    g = torch.mul(grad, weight, out=place) if grad.shape[-1] == 1 else _product(grad, weight, out=place)
    torch.ops.aten.threshold_backward.grad_input(g, active, 0, grad_input=g)
    return g


def _joined(x: Tensor, action: Tensor | None) -> Tensor:
    return x if action is None else torch.cat([x, action], dim=-1)


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
        return self._normalised(torch.cat([observation, desired_goal], dim=-1))

    def both_ends(self, batch: Batch) -> Tensor:
        """(2n, both): the n inputs at t, then the n at t + 1, which share the goal."""
        n, size = batch.observation.shape
        x = batch.observation.new_empty(2, n, size + batch.desired_goal.shape[-1])
        x[0, :, :size], x[1, :, :size] = batch.observation, batch.next_observation
        x[:, :, size:] = batch.desired_goal
        return self._normalised(x.view(2 * n, -1))

    def _normalised(self, x: Tensor) -> Tensor:
        return x.sub_(self._mean).div_(self._std).clamp_(-self._normaliser.clip, self._normaliser.clip)


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

"""Forward and backward pass of an ensemble of ReLU networks, written out.

Autograd would do, and is what this is tested against. Written out, it uses the same memory again, knows
that a critic has one output, leaves out rows that no gradient flows through, and does not work out
gradients that nobody asked for: a quarter off the time of an update.
"""

import math
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from regoal.agent.networks import Ensemble

Layer = tuple[Tensor, Tensor]  # weight (..., inputs, outputs), bias (..., 1, outputs)

NARROW = 32  # outputs below which matrix products of this library are slow one way round


class Scratch:
    """Memory for what passes through a network, the same for the same use every time.

    Megabytes that are still in the processor's cache are written several times faster than fresh ones.
    What one pass keeps for its backward pass is not written by another while it is held.
    """

    def __init__(self) -> None:
        self._places: dict[Any, Tensor] = {}
        self._held: weakref.ref[_Hold] | None = None

    def place(self, use: str, number: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Memory of the shape for the use: the front of one piece, however many shapes there are.

        Imitation looks at another number of rows in every update.
        """
        key, size = (use, number, like.device, like.dtype), math.prod(shape)
        if key not in self._places or len(self._places[key]) < size:
            self._places[key] = like.new_empty(size)
        return self._places[key][:size].view(shape)

    def hold(self) -> "_Hold | None":
        """The right to what is kept, until it is dropped; None while somebody else has it."""
        if self._held is not None and self._held() is not None:
            return None
        hold = _Hold()
        self._held = weakref.ref(hold)
        return hold


class _Hold:
    """Dropped with the pass that has it."""


class Stack(torch.autograd.Function):
    """Forward and backward pass of an ensemble without LayerNorm, or of one of its networks alone."""

    @staticmethod
    def forward(
        ctx: Any,
        flat: Tensor,
        x: Tensor,
        action: Tensor | None,
        net: "Ensemble",
        tracked: int | None,
        only: int | None,
    ) -> Tensor:
        layers, h = net.stacked(flat), joined(x, action)
        several = net.n_networks > 1 and only is None
        if several:
            h = h.expand(net.n_networks, -1, -1)
        elif net.n_networks > 1:
            layers = [(weight[only], bias[only]) for weight, bias in layers]
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
        return out if several else out.unsqueeze(0)

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
            return None, None, _action_gradient(grad, kept, layers, x_size), None, None, None
        if net.n_networks == 1:
            grad = grad[0]
        flat = place = None
        if for_flat:  # another pass may be the one that is to put its gradient there
            place, net.gradient_place = net.gradient_place, None
            flat = torch.empty_like(net.flat) if place is None else place
        gradients = None if flat is None else net.stacked(flat)
        for i in range(len(layers) - 1, -1, -1):
            if gradients is not None:
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
            flat if place is None else None,
            for_input[:, :x_size] if for_input is not None and for_x else None,
            for_input[:, x_size:] if for_input is not None and for_action else None,
            None,
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


def _action_gradient(grad: Tensor, kept: Sequence[Tensor], layers: Sequence[Layer], x_size: int) -> Tensor:
    """Gradient (b, action_size) of what the actor ascends, network by network.

    Where it is the least of several critics, each row's gradient flows through one of them alone: rows
    that are zero are left out, which halves the work for two critics. A GPU would have to be waited for
    to know them.
    """
    everywhere = torch.arange(grad.shape[1], device=grad.device)
    total = grad.new_zeros(grad.shape[1], layers[0][0].shape[-2] - x_size)
    for n in range(len(grad)):
        rows = grad[n].any(dim=-1).nonzero().squeeze(-1) if grad.device.type == "cpu" else everywhere
        if not len(rows):
            continue
        every = len(rows) == grad.shape[1]
        g = grad[n] if every else grad[n].index_select(0, rows)
        for i in range(len(layers) - 1, 0, -1):
            w, active = (layers[i][0], kept[i]) if kept[i].dim() == 2 else (layers[i][0][n], kept[i][n])
            g = _backward_through(g, w.mT, active if every else active.index_select(0, rows), None)
        first = layers[0][0] if kept[0].dim() == 2 else layers[0][0][n]
        total.index_add_(0, rows, g @ first[x_size:].mT)
    return total


def _backward_through(grad: Tensor, weight: Tensor, active: Tensor, place: Tensor | None) -> Tensor:
    """Gradient before a ReLU from that behind the layer that follows it; `active` is the ReLU's output."""
    # With one output the product of a column and a row needs no matrix product.
    g = torch.mul(grad, weight, out=place) if grad.shape[-1] == 1 else _product(grad, weight, out=place)
    torch.ops.aten.threshold_backward.grad_input(g, active, 0, grad_input=g)
    return g


def joined(x: Tensor, action: Tensor | None) -> Tensor:
    """Network inputs with the action behind them, if there is one."""
    return x if action is None else torch.cat([x, action], dim=-1)

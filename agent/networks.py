"""Networks of actors and critics: ensembles of ReLU networks in one flat tensor each."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regoal.agent.backward import Layer, Scratch, Stack, joined


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
        out: Tensor = Stack.apply(self.flat, x, action, self, tracked, None)  # type: ignore[no-untyped-call]
        return out

    def held(self, x: Tensor, action: Tensor) -> Tensor:
        """The outputs (networks, b, outputs) of all; a gradient reaches the inputs and no parameter."""
        self.requires_grad_(False)
        out: Tensor = self(x, action)
        self.requires_grad_(True)
        return out

    def one(self, number: int, x: Tensor, action: Tensor) -> Tensor:
        """The outputs (b, outputs) of one network alone; a gradient reaches the action and no more."""
        flat, x = self.flat.detach(), x.detach()
        if self.layer_norm:
            return self.plain(x, action, flat, which=[number])[0]
        out: Tensor = Stack.apply(flat, x, action, self, None, number)  # type: ignore[no-untyped-call]
        return out[0]

    def plain(
        self,
        x: Tensor,
        action: Tensor | None = None,
        flat: Tensor | None = None,
        which: Sequence[int] | None = None,
    ) -> Tensor:
        """The same as `forward` by autograd, with other parameters or of some networks alone, if given."""
        flat = self.flat if flat is None else flat
        layers, norms = self.layers(flat), self.norms(flat)
        if which is not None:
            layers, norms = ([(one[which], two[which]) for one, two in part] for part in (layers, norms))
        *hidden, (weight, bias) = layers
        h = joined(x, action).expand(len(weight), -1, -1)
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


def target_value(
    critics: Ensemble, x: Tensor, action: Tensor, drawn: int, generator: torch.Generator
) -> Tensor:
    """The least value (n,) of all critics, or of some that are drawn anew (REDQ, Chen 2021, eq. 2).

    Args:
        critics: of the target.
        x: (n, inputs).
        action: (n, action_size).
        drawn: how many; 0 stands for all.
        generator: that draws them, on the CPU.
    """
    if drawn:
        order = torch.randperm(critics.n_networks, generator=generator)
        values = torch.stack([critics.one(number, x, action) for number in order[:drawn].tolist()])
    else:
        values = critics(x, action)
    return values.squeeze(-1).amin(dim=0)

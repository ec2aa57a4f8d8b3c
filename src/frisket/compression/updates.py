"""A low-rank update of every linear layer that exists only while a search runs.

TinyFusion (arXiv 2412.01199) lets the weights move a little while it searches, so that a pattern is judged by how it
recovers; the update imitates the later fine-tuning and is then thrown away. The layer's own weights are not touched:
each adds (alpha / rank) up(down(x)) to what it gives. `up` starts at zero. For updates that stay, see `adapters`.
Shapes: r rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.random import generator
from frisket.models.init import Uniform


class LowRankUpdate(nn.Module):
    """down (r, in) and up (out, r) for each linear layer of `model`, drawn from `seed` and the layer's name."""

    def __init__(self, model: nn.Module, rank: int = 8, alpha: float = 16.0, seed: int = 0):
        super().__init__()
        check(rank >= 1, "update.rank", rank, "1 or more")
        self.scale = alpha / rank
        layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
        self.names = tuple(layers)
        self.down = nn.ParameterList(_down(name, layer, rank, seed) for name, layer in layers.items())
        self.up = nn.ParameterList(torch.zeros(v.out_features, rank, device=v.weight.device) for v in layers.values())

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[nn.Module]:
        """The model with the update while the block runs; nothing of it is left after."""
        held = []
        try:
            for name, down, up in zip(self.names, self.down, self.up, strict=True):
                held.append(model.get_submodule(name).register_forward_hook(self._hook(down, up)))
            yield model
        finally:
            for handle in held:
                handle.remove()

    def _hook(self, down: Tensor, up: Tensor):
        def add(layer, args, out):
            linear = nn.functional.linear
            return out + linear(linear(args[0], down.to(out.dtype)), up.to(out.dtype)) * self.scale

        return add


def _down(name: str, layer: nn.Linear, rank: int, seed: int) -> Tensor:
    """Uniform in +-1 / sqrt(in), as torch starts a linear layer, which is what LoRA's own code uses."""
    value = torch.empty(rank, layer.in_features)
    Uniform(layer.in_features**-0.5).fill(value, generator(f"{seed}/update/{name}"))
    return value.to(layer.weight.device)

"""The projector: a small perceptron between what a block gives and what it is compared with. It trains and is thrown
away.

REPA (arXiv 2410.06940; facts from sihyun-yu/REPA models/sit.py) has three layers, 2,048 wide; SRA (arXiv 2505.02831;
vvvvvjdy/SRA SiT-SRA/models/sit.py) two, as wide as both ends together. SiLU between layers.
Shapes: b batch, n tokens, d width, z target's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import build_real, linear


@register("projector/perceptron")
@dataclass(frozen=True, kw_only=True)
class Projector:
    """hidden: units of the layers between; None: the widths of both ends together. layers: linear ones."""

    hidden: int | None = 2048
    layers: int = 3

    def __post_init__(self):
        check(self.hidden is None or self.hidden >= 1, "projector.hidden", self.hidden, "None, or at least 1")
        check(self.layers >= 1, "projector.layers", self.layers, "at least 1")

    def sizes(self, width: int, target: int) -> tuple[int, ...]:
        """Units of every stage, both ends included."""
        hidden = width + target if self.hidden is None else self.hidden
        return (width, *[hidden] * (self.layers - 1), target)

    def macs(self, width: int, target: int) -> int:
        """Multiply-accumulates for one token."""
        sizes = self.sizes(width, target)
        return sum(a * b for a, b in pairwise(sizes))

    def parameters(self, width: int, target: int) -> int:
        """Numbers in its weights and biases."""
        return self.macs(width, target) + sum(self.sizes(width, target)[1:])

    def build(self, width: int, target: int) -> ProjectorModule:
        """The module from `width` to `target` features, with fresh weights."""
        return build_real(lambda: ProjectorModule(self.sizes(width, target)))


class ProjectorModule(nn.Module):
    """A built `Projector`."""

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        self.layers = nn.ModuleList(linear(a, b) for a, b in pairwise(sizes))

    def forward(self, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b n z"]:
        for i, layer in enumerate(self.layers):
            h = layer(functional.silu(h) if i else h)
        return h

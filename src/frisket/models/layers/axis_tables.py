"""Sinusoids for groups of axes, each over the full width, added: where a token is in its frame, and which frame it is.

VDT (arXiv 2305.13311; facts from RERV/VDT models.py) adds DiT's table of the frame and one of the frame number, where
`SinCos` gives each of three axes a third of the features.
Shapes: n tokens, d width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import ZEROS, parameter
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import sincos
from frisket.models.tokens import Tags


@register("positions/grouped")
@dataclass(frozen=True, kw_only=True)
class GroupedSinCos:
    """A frozen table of `SinCos` for each group of axes, as if it had no others; every axis is in one group. The tables
    of the fitted grid are saved with the weights; other grids are computed when they come."""

    groups: tuple[tuple[int, ...], ...] = ((1, 2), (0,))
    base: float = 10_000.0

    def build(self, sizes: Sizes) -> nn.Module:
        named = sorted(a for group in self.groups for a in group)
        axes = len(sizes.grid.axes)
        fits = named == list(range(axes)) and all(list(group) == sorted(group) for group in self.groups)
        check(fits, "positions.groups", self.groups, f"each of the axes 0 to {axes - 1} once, in order in its group")
        return _Grouped(self, sizes)


class _Grouped(nn.Module):
    placing = None

    def __init__(self, config: GroupedSinCos, sizes: Sizes):
        super().__init__()
        self.groups, self.base, self.width, self.grid = config.groups, config.base, sizes.width, sizes.grid
        for i, group in enumerate(self.groups):
            places = math.prod(self.grid.axes[a] for a in group)
            parameter(self, f"table_{i}", (places, sizes.width), ZEROS, "table")

    def fill_tables(self) -> None:
        """Write the fitted grid's tables."""
        with torch.no_grad():
            for i, group in enumerate(self.groups):
                coords = Grid.of(tuple(self.grid.axes[a] for a in group)).coords()
                getattr(self, f"table_{i}").copy_(sincos(coords, self.width, self.base))

    def forward(self, h: Float[Tensor, "b n d"], tags: Tags) -> Float[Tensor, "b n d"]:
        if tags.extent == self.grid.axes:
            for i, group in enumerate(self.groups):
                h = h + self._spread(getattr(self, f"table_{i}"), group)
            return h
        if tags.coords is None:
            raise FrisketError("positions need tokens that carry coords")
        for group in self.groups:
            h = h + sincos(tags.coords[..., list(group)], self.width, self.base).to(h.device, h.dtype)
        return h

    def _spread(self, table: Float[Tensor, "p d"], group: tuple[int, ...]) -> Float[Tensor, "n d"]:
        """A group's table on the whole grid."""
        axes = self.grid.axes
        shape = [axes[i] if i in group else 1 for i in range(len(axes))]
        return table.reshape(*shape, -1).expand(*axes, -1).flatten(0, -2)

"""Rotary positions whose axes have unequal shares of a head's features.

CogVideoX (arXiv 2408.06072; facts from diffusers `get_3d_rotary_pos_embed`): of a head's features a quarter turns with
time and three eighths each with height and width; tokens without a place (text) do not turn.
Shapes: b batch, h heads, n tokens, d width of a head, a axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import Turning, coords_of, rotary_angles
from frisket.models.tokens import Tags


@register("positions/rotary-shares")
@dataclass(frozen=True, kw_only=True)
class RotaryShares:
    """shares: of the axes in order, whole numbers; each axis turns the features of its own share, in neighbouring
    pairs, by frequencies that begin anew."""

    shares: tuple[int, ...] = (2, 3, 3)
    base: float = 10_000.0

    def __post_init__(self):
        check(bool(self.shares) and min(self.shares) >= 1, "positions.shares", self.shares, "positive whole numbers")

    def build(self, sizes: Sizes) -> nn.Module:
        head, axes = sizes.width // sizes.heads, len(sizes.grid.axes)
        check(len(self.shares) == axes, "positions.shares", self.shares, f"one for each of {axes} axes")
        part, rest = divmod(head, sum(self.shares))
        fits = rest == 0 and all(part * share % 2 == 0 for share in self.shares)
        check(fits, "width of a head", head, f"one that {self.shares} cut into even parts")
        return _RotaryShares(tuple(part * share for share in self.shares), self.base)


class _RotaryShares(Turning):
    def __init__(self, widths: tuple[int, ...], base: float):
        super().__init__(("rotary-shares", widths, base), "interleaved")
        self.widths, self.base = widths, base

    def angles(self, tags: Tags, width: int) -> Float[Tensor, "*b n half"]:
        lines = coords_of(tags).unbind(-1)
        parts = [rotary_angles(c.unsqueeze(-1), w, self.base) for c, w in zip(lines, self.widths, strict=True)]
        return torch.cat(parts, -1)

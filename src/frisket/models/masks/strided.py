"""Masks by residue: who stands a whole number of strides away. Coordinates count tokens.

Source: the grid attention of MaxViT (arXiv 2204.01697), which looks far with as few keys as a window looks near.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.masks.base import Combines, Empty, View


@register("mask/strided")
@dataclass(frozen=True, kw_only=True)
class Strided(Combines):
    """Keys whose distance on every axis is a multiple of `stride`: a coarse grid over the whole state, one for each
    place within a stride."""

    empty: Empty = "zeros"
    stride: int = 4

    def __post_init__(self):
        check(self.stride >= 1, "mask/strided.stride", self.stride, "at least 1")

    def allowed(self, q: View, k: View) -> Tensor:
        check(k.axes > 0, "mask/strided", "tokens without coords", "used on tokens with coords")
        out = None
        for axis in range(k.axes):
            here = (q.coord(axis) - k.coord(axis)) % self.stride == 0
            out = here if out is None else out & here
        return out  # type: ignore[return-value]

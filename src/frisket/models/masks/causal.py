"""Masks by order: nobody looks at what comes later."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from frisket.core.registry import register
from frisket.models.masks.base import Combines, Empty, View


@register("mask/causal")
@dataclass(frozen=True, kw_only=True)
class Causal(Combines):
    """Keys up to the query itself in the full sequence (the `index` tag, so it holds for chosen tokens too)."""

    empty: Empty = "zeros"

    def allowed(self, q: View, k: View) -> Tensor:
        return k.tag("index") <= q.tag("index")


@register("mask/causal_over")
@dataclass(frozen=True, kw_only=True)
class CausalOver(Combines):
    """Keys up to the query's own place on one axis: all of its frame and of earlier frames, for axis 0 of a video."""

    empty: Empty = "zeros"
    axis: int = 0

    def allowed(self, q: View, k: View) -> Tensor:
        return k.coord(self.axis) <= q.coord(self.axis)

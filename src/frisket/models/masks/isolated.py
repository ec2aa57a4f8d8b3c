"""Reference tokens that are read and do not read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from frisket.core.registry import register
from frisket.models.masks.base import Combines, Empty, View


@register("mask/isolated")
@dataclass(frozen=True, kw_only=True)
class Isolated(Combines):
    """Tokens of the state look at all; those of another stream at their own stream only. What a reference becomes then
    depends on nothing but itself."""

    empty: Empty = "zeros"

    def allowed(self, q: View, k: View) -> Tensor:
        asks = q.tag("stream")
        return (asks == 0) | (asks == k.tag("stream"))

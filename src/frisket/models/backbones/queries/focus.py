"""Focus: where in a map each query may look, given the mask it has just predicted.

Masked attention (Mask2Former, arXiv 2112.01527, eq. 2 and 3; facts from facebookresearch/Mask2Former): the mask's logits
are brought to the map's size, bilinear, and a query looks where its probability is at least a half. A query whose mask is
empty there looks everywhere, which is the attention mask's `empty="all"`. No gradient flows through the choice.
Shapes: b batch, q queries, h height, w width of the map, m = h * w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from frisket.core.registry import register
from frisket.models.attend import ALL
from frisket.models.masks.base import AttentionMask
from frisket.models.masks.dense import Dense


@runtime_checkable
class Focus(Protocol):
    """A registered value ("focus/...")."""

    def mask(self, logits: Float[Tensor, "b q H W"], size: tuple[int, int]) -> AttentionMask:
        """Who may look where, from the last predicted mask logits and the size (h, w) of the map to be read."""
        ...


@register("focus/predicted")
@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A query looks where its own mask is: masked attention."""

    def mask(self, logits: Float[Tensor, "b q H W"], size: tuple[int, int]) -> AttentionMask:
        return Dense(table=foreground(logits, size).flatten(2), empty="all")


@register("focus/everywhere")
@dataclass(frozen=True, kw_only=True)
class Everywhere:
    """A query looks everywhere: plain cross-attention."""

    def mask(self, logits: Float[Tensor, "b q H W"], size: tuple[int, int]) -> AttentionMask:
        return ALL


@register("focus/displaced")
@dataclass(frozen=True, kw_only=True)
class Displaced:
    """A control: the mask's own shape and area, moved by half the map around both axes (as on a torus), so a query
    looks at as much, but elsewhere."""

    def mask(self, logits: Float[Tensor, "b q H W"], size: tuple[int, int]) -> AttentionMask:
        h, w = size
        moved = foreground(logits, size).roll((h // 2, w // 2), (-2, -1))
        return Dense(table=moved.flatten(2), empty="all")


def foreground(logits: Float[Tensor, "b q H W"], size: tuple[int, int]) -> Tensor:
    """bool (b, q, h, w): where the mask's probability, at another size, is at least a half."""
    with torch.no_grad():
        small = functional.interpolate(logits.detach().float(), size=size, mode="bilinear", align_corners=False)
        return small >= 0

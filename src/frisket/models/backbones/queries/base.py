"""What the parts of a segmenter promise each other.

Maps come finest first, each half the size of the one before. Shapes: b batch, c channels, h height, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Refined:
    """What a pixel decoder makes. pixels: an embedding a pixel of the finest map. memory: maps that queries read,
    coarsest first."""

    pixels: Float[Tensor, "b d h w"]
    memory: Sequence[Float[Tensor, "b d _h _w"]]


@runtime_checkable
class Trunk(Protocol):
    """A registered value ("trunk/...") that builds a module from images to maps."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each map, finest first."""
        ...

    @property
    def strides(self) -> tuple[int, ...]:
        """Image pixels a cell, finest first."""
        ...

    def build(self, channels_in: int) -> nn.Module:
        """`module(x)` returns the maps of x (b, channels_in, h, w) as a list."""
        ...


@runtime_checkable
class PixelDecoder(Protocol):
    """A registered value ("pixels/...") that builds a module from a trunk's maps to `Refined`."""

    @property
    def levels(self) -> int:
        """How many memory maps it gives."""
        ...

    def build(self, channels: Sequence[int], width: int, heads: int) -> nn.Module: ...

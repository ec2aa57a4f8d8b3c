"""Ends of a backbone: from a state to token features, and from token features to a prediction.

Shapes: b batch, c channels, n tokens, d width, k vocabulary; `*axes` the grid of tokens, `*size` the state's axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import ZEROS, Uniform, embedding, linear


@runtime_checkable
class Input(Protocol):
    """A registered value ("input/..."): knows the state's shape and how to make tokens of it. One whose state is several
    items has `segments(grid)`, the item of each token."""

    @property
    def grid(self) -> Grid: ...

    def grid_of(self, x: Tensor) -> Grid:
        """The grid of this very state."""
        ...

    def fit(self, spec: Spec) -> Input: ...

    def build(self, width: int, extra_channels: int) -> nn.Module: ...


@runtime_checkable
class Head(Protocol):
    """A registered value ("output/...")."""

    def fit(self, spec: Spec, channels_out: int) -> Head: ...

    def build(self, width: int, grid: Grid) -> nn.Module: ...


@register("input/patches")
@dataclass(frozen=True, kw_only=True)
class Patches:
    """A continuous state (b, channels, *size) cut into patches, one linear layer; a patch's features are ordered
    (channel, place), as the weight of DiT's convolution. patch: one number for all axes or one an axis."""

    channels: int = 1
    size: tuple[int, ...] = (8, 8)
    patch: int | tuple[int, ...] = 2

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size, self.patch)

    def grid_of(self, x: Tensor) -> Grid:
        check(x.ndim == 2 + len(self.size), "axes of the state", x.ndim - 2, str(len(self.size)))
        check(x.shape[1] == self.channels, "channels of the state", x.shape[1], str(self.channels))
        return Grid.of(tuple(x.shape[2:]), self.patch)

    def fit(self, spec: Spec) -> Patches:
        if spec.kind != "continuous":
            raise FrisketError(f"input/patches reads a continuous state, not {spec.kind}; use input/ids")
        fitted = replace(self, channels=spec.shape[0], size=tuple(spec.shape[1:]))
        _ = fitted.grid  # raises if the shape does not divide
        return fitted

    def build(self, width: int, extra_channels: int) -> nn.Module:
        return _Patches(self, width, extra_channels)


@register("input/ids")
@dataclass(frozen=True, kw_only=True)
class Ids:
    """Ids (b, *size) in [0, vocabulary], the last one being the mask id: a table of vocabulary + 1 rows, uniform in
    +- 1 / sqrt(d) at first (kuleshov-group/mdlm models/dit.py)."""

    vocabulary: int = 256
    size: tuple[int, ...] = (64,)

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size, 1)

    def grid_of(self, x: Tensor) -> Grid:
        check(x.ndim == 1 + len(self.size), "axes of the state", x.ndim - 1, str(len(self.size)))
        check(not x.is_floating_point(), "dtype of the state", x.dtype, "an integer type")
        return Grid.of(tuple(x.shape[1:]), 1)

    def fit(self, spec: Spec) -> Ids:
        if spec.kind != "ids" or spec.vocabulary is None:
            raise FrisketError(f"input/ids reads ids with a vocabulary, not {spec.kind}; use input/patches")
        return replace(self, vocabulary=spec.vocabulary, size=tuple(spec.shape))

    def build(self, width: int, extra_channels: int) -> nn.Module:
        check(extra_channels == 0, "doors by channels", extra_channels, "none where the state is ids")
        return _Ids(self.vocabulary, width)


@register("output/patches")
@dataclass(frozen=True, kw_only=True)
class PatchesOut:
    """A state (b, channels, *size) from one linear layer, features ordered (place, channel), zero at first. unused:
    further channels that the layer has and the prediction leaves out (SiT keeps DiT's variance half)."""

    channels: int = 1
    unused: int = 0

    def fit(self, spec: Spec, channels_out: int) -> PatchesOut:
        return replace(self, channels=channels_out)

    def build(self, width: int, grid: Grid) -> nn.Module:
        return _PatchesOut(self, width, grid)


@register("output/logits")
@dataclass(frozen=True, kw_only=True)
class Logits:
    """Logits (b, *size, vocabulary) from one linear layer, zero at first."""

    vocabulary: int = 256

    def fit(self, spec: Spec, channels_out: int) -> Logits:
        return replace(self, vocabulary=channels_out)

    def build(self, width: int, grid: Grid) -> nn.Module:
        return _Logits(self.vocabulary, width)


class _Patches(nn.Module):
    def __init__(self, config: Patches, width: int, extra_channels: int):
        super().__init__()
        places = config.grid.patch
        fan_in = config.channels + extra_channels
        for p in places:
            fan_in *= p
        self.linear = linear(fan_in, width, role="input")

    def forward(self, x: Float[Tensor, "b c *size"], grid: Grid) -> Float[Tensor, "b n d"]:
        return self.linear(grid.patchify(x))


class _Ids(nn.Module):
    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.table = embedding(vocabulary + 1, width, Uniform(width**-0.5))

    def forward(self, x: Int[Tensor, "b *size"], grid: Grid) -> Float[Tensor, "b n d"]:
        return self.table(grid.flatten(x))


class _PatchesOut(nn.Module):
    def __init__(self, config: PatchesOut, width: int, grid: Grid):
        super().__init__()
        self.channels = config.channels
        out = config.channels + config.unused
        for p in grid.patch:
            out *= p
        self.linear = linear(width, out, law=ZEROS, role="output")

    def forward(self, h: Float[Tensor, "b n d"], grid: Grid) -> Float[Tensor, "b c *size"]:
        return grid.unpatchify(self.linear(h))[:, : self.channels]


class _Logits(nn.Module):
    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.linear = linear(width, vocabulary, law=ZEROS, role="output")

    def forward(self, h: Float[Tensor, "b n d"], grid: Grid) -> Float[Tensor, "b *size k"]:
        return grid.fold(self.linear(h))

"""Convolutional parts on tokens of a plane: ends without patches, and the ways between two resolutions.

U-DiT (arXiv 2405.02730; facts from YuchuanTian/U-DiT udit_models.py): a 3x3 convolution in and out; down is a 3x3
convolution to a quarter of the new width and pixel unshuffle, up one to four times the new width and pixel shuffle, both
without biases, so no value is averaged away.
Shapes: b batch, n tokens, d width, c channels, y x the plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import ZEROS
from frisket.models.layers.maps import conv
from frisket.models.tokens import Tokens


def as_map(h: Float[Tensor, "b n d"], axes: tuple[int, ...]) -> Float[Tensor, "b d y x"]:
    """Tokens in raster order as a feature map. Raises `FrisketError` unless they are all tokens of a plane."""
    if len(axes) != 2 or h.shape[1] != axes[0] * axes[1]:
        raise FrisketError(f"a convolution needs the whole grid: {h.shape[1]} tokens do not make a plane {axes}")
    return h.transpose(1, 2).unflatten(2, axes)


def plane(tokens: Tokens, axes: tuple[int, ...]) -> Float[Tensor, "b d y x"]:
    """As `as_map`, also for tokens in another order than the grid's. Raises `FrisketError` on those and on some of them."""
    if tokens.tags.index is not None:
        raise FrisketError(f"a part that works on the plane {axes} needs the whole grid in order, not chosen tokens")
    return as_map(tokens.h, axes)


def as_tokens(x: Float[Tensor, "b d y x"]) -> Float[Tensor, "b n d"]:
    """A feature map as tokens in raster order."""
    return x.flatten(2).transpose(1, 2)


@register("input/convolution")
@dataclass(frozen=True, kw_only=True)
class ConvolutionIn:
    """A continuous state (b, channels, *size) through one convolution, a token an element. side: of its window."""

    channels: int = 1
    size: tuple[int, ...] = (8, 8)
    side: int = 3

    def __post_init__(self):
        check(self.side % 2 == 1, "input.side", self.side, "odd")

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size, 1)

    def grid_of(self, x: Tensor) -> Grid:
        check(x.ndim == 4, "axes of the state", x.ndim - 2, "2 for input/convolution")
        check(x.shape[1] == self.channels, "channels of the state", x.shape[1], str(self.channels))
        return Grid.of(tuple(x.shape[2:]), 1)

    def fit(self, spec: Spec) -> ConvolutionIn:
        if spec.kind != "continuous" or len(spec.shape) != 3:
            raise FrisketError(f"input/convolution reads images, not {spec.kind} of shape {spec.shape}")
        return replace(self, channels=spec.shape[0], size=tuple(spec.shape[1:]))

    def build(self, width: int, extra_channels: int) -> nn.Module:
        return _In(self, width, extra_channels)


@register("output/convolution")
@dataclass(frozen=True, kw_only=True)
class ConvolutionOut:
    """A state (b, channels, *size) from one convolution, zero at first. unused: further channels that the layer has and
    the prediction leaves out. side: of its window."""

    channels: int = 1
    unused: int = 0
    side: int = 3

    def __post_init__(self):
        check(self.side % 2 == 1, "output.side", self.side, "odd")

    def fit(self, spec: Spec, channels_out: int) -> ConvolutionOut:
        return replace(self, channels=channels_out)

    def build(self, width: int, grid: Grid) -> nn.Module:
        return _Out(self, width)


class _In(nn.Module):
    def __init__(self, config: ConvolutionIn, width: int, extra_channels: int):
        super().__init__()
        self.conv = conv(config.channels + extra_channels, width, config.side, role="input")

    def forward(self, x: Float[Tensor, "b c y x"], grid: Grid) -> Float[Tensor, "b n d"]:
        return as_tokens(self.conv(x))


class _Out(nn.Module):
    def __init__(self, config: ConvolutionOut, width: int):
        super().__init__()
        self.channels = config.channels
        self.conv = conv(width, config.channels + config.unused, config.side, law=ZEROS, role="output")

    def forward(self, h: Float[Tensor, "b n d"], grid: Grid) -> Float[Tensor, "b c y x"]:
        return self.conv(as_map(h, grid.axes))[:, : self.channels]


class Merge(nn.Module):
    """To half the resolution: (b, n, before) -> (b, n / 4, after). Raises unless `after` divides by 4."""

    def __init__(self, before: int, after: int):
        super().__init__()
        check(after % 4 == 0, "width after merging", after, "a multiple of 4")
        self.conv = conv(before, after // 4, 3, bias=False)

    def forward(self, h: Float[Tensor, "b n before"], grid: Grid) -> Float[Tensor, "b m after"]:
        return as_tokens(functional.pixel_unshuffle(self.conv(as_map(h, grid.axes)), 2))


class Split(nn.Module):
    """To twice the resolution: (b, n, before) -> (b, 4 n, after)."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = conv(before, 4 * after, 3, bias=False)

    def forward(self, h: Float[Tensor, "b n before"], grid: Grid) -> Float[Tensor, "b m after"]:
        return as_tokens(functional.pixel_shuffle(self.conv(as_map(h, grid.axes)), 2))

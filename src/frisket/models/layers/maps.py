"""What works on feature maps: marked convolutions, norms over channels, and sine positions of a map's cells.

The sine table is that of DETR (arXiv 2005.12872) as facebookresearch/Mask2Former position_encoding.py computes it: rows
and columns are counted from 1, divided by their number and scaled to 2 pi; half of the features are the row's, then half
the column's, sines and cosines in turn.
Shapes: b batch, c channels, h height, w width, d features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import ONES, ZEROS, Law, Mark, Role, Xavier, mark, parameter


@dataclass(frozen=True)
class Kaiming:
    """Normal with variance 2 / fan out, as ResNets start (arXiv 1502.01852)."""

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        nn.init.kaiming_normal_(value, mode="fan_out", nonlinearity="relu", generator=generator)


def conv(
    channels_in: int, channels_out: int, side: int = 1, *, stride: int = 1, bias: bool = True, groups: int = 1,
    law: Law | None = None, role: Role = "matrix",
) -> nn.Conv2d:  # fmt: skip
    """A marked `nn.Conv2d` padded so that stride 1 keeps the size: weight by `law` (Xavier if none), bias zero."""
    layer = nn.Conv2d(channels_in, channels_out, side, stride=stride, padding=side // 2, groups=groups, bias=bias)
    mark(layer, weight=Mark(law or Xavier(), role))
    return mark(layer, bias=Mark(ZEROS, "vector")) if bias else layer


@runtime_checkable
class MapNorm(Protocol):
    """A registered value ("mapnorm/...")."""

    def build(self, channels: int) -> nn.Module: ...


@register("mapnorm/group")
@dataclass(frozen=True, kw_only=True)
class GroupNorm:
    """Mean and variance over groups of channels and the whole map, then weight and bias (arXiv 1803.08494)."""

    groups: int = 8
    eps: float = 1e-5

    def build(self, channels: int) -> nn.Module:
        fits = self.groups >= 1 and channels % self.groups == 0
        check(fits, "mapnorm.groups", self.groups, f"a divisor of the {channels} channels")
        return _GroupNorm(self, channels)


@register("mapnorm/frozen")
@dataclass(frozen=True, kw_only=True)
class FrozenBatchNorm:
    """Batch norm whose statistics, weight and bias never change, for trunks that come trained. They are buffers, so
    they are no parameters; fresh ones do nothing but divide by sqrt(1 + eps)."""

    eps: float = 1e-5

    def build(self, channels: int) -> nn.Module:
        return _Frozen(channels, self.eps)


class _GroupNorm(nn.Module):
    weight: Tensor
    bias: Tensor

    def __init__(self, config: GroupNorm, channels: int):
        super().__init__()
        self.groups, self.eps = config.groups, config.eps
        parameter(self, "weight", (channels,), ONES, "vector")
        parameter(self, "bias", (channels,), ZEROS, "vector")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return functional.group_norm(x, self.groups, self.weight, self.bias, self.eps)


class _Frozen(nn.Module):
    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        for name in ("weight", "bias", "mean", "variance"):
            self.register_buffer(name, torch.empty(channels))

    @torch.no_grad()
    def fill_tables(self) -> None:
        """Statistics that leave maps as they are."""
        self.weight.fill_(1.0)
        self.variance.fill_(1.0)
        self.bias.zero_()
        self.mean.zero_()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        scale = self.weight * (self.variance + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - self.mean * scale)[:, None, None]


def sine_positions(size: tuple[int, int], width: int, device: torch.device | str = "cpu") -> Float[Tensor, "n d"]:
    """float32 (h * w, width), cells in raster order. Raises `FrisketError` unless width divides by 4."""
    check(width % 4 == 0, "width", width, "a multiple of 4, for sines and cosines of rows and columns")
    return _sines(size, width, str(device))


@lru_cache(maxsize=64)
def _sines(size: tuple[int, int], width: int, device: str) -> Tensor:
    half = width // 2
    with torch.inference_mode(False):  # kept for later passes, which may train
        speed = 10_000.0 ** (2 * (torch.arange(half) // 2) / half)
        sides = []
        for count in size:
            place = torch.arange(1, count + 1) / (count + 1e-6) * 2 * math.pi
            angle = place[:, None] / speed  # (count, half)
            sides.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], -1).flatten(1))
        rows, columns = sides
        h, w = size
        table = torch.cat([rows[:, None].expand(h, w, half), columns[None].expand(h, w, half)], -1)
        return table.reshape(h * w, width).to(device)

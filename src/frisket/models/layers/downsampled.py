"""Self-attention at a lower resolution: among tokens of equal phase, or on a pooled map.

`Phases` is U-DiT's (arXiv 2405.02730; facts from YuchuanTian/U-DiT udit_models.py): a depthwise convolution with a
shortcut, then the plane is cut into factor^2 interleaved planes, one a phase (row mod factor, column mod factor), which
attend each within itself by shared weights and are put back, so nothing is lost and scores cost 1 / factor^2. Cosine
scores (arXiv 2111.09883) are dot products of unit vectors times a learned scale a head. `Pooled` averages the cells of a
factor x factor square, attends once and repeats the result: the cheaper choice that loses information.
Both need the whole plane and refuse some of its tokens.
Shapes: b batch, n tokens, p planes, m tokens of a plane, h heads, d width, e width of a head, y x the plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.attend import ALL, attend
from frisket.models.grid import Grid
from frisket.models.init import Constant, linear, parameter
from frisket.models.layers.base import BranchCall, Sizes
from frisket.models.layers.convolutions import as_tokens, plane
from frisket.models.layers.maps import conv
from frisket.models.layers.positions import Positions, Rotary
from frisket.models.masks.base import AttentionMask
from frisket.models.tokens import Tags, Tokens


@runtime_checkable
class Scores(Protocol):
    """A registered value ("scores/..."). Its module gives queries and keys (b, p, h, m, e) as they enter a product that
    is then divided by sqrt(e)."""

    def build(self, heads: int) -> nn.Module: ...


@register("scores/scaled")
@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Dot products over sqrt(e)."""

    def build(self, heads: int) -> nn.Module:
        return _Scaled()


@register("scores/cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Cosines times exp(min(s, limit)), s learned a head. start: the scale at first. limit: of s; the default is that of
    the official code, ln 100 rounded."""

    start: float = 10.0
    limit: float = 4.6052

    def __post_init__(self):
        check(self.start > 0, "scores.start", self.start, "positive")

    def build(self, heads: int) -> nn.Module:
        return _Cosine(self, heads)


@register("mixer/phases", cite="Tian et al. U-DiTs. 2024. arXiv:2405.02730")
@dataclass(frozen=True, kw_only=True)
class Phases:
    """factor: along each axis; 1 is full attention. heads: the backbone's if None. local: side of the depthwise
    convolution in front, 0 for none. positions: of a token in its own plane; those that rotate. mask: within a plane."""

    factor: int = 2
    heads: int | None = None
    local: int = 5
    scores: Scores = Cosine()
    positions: Positions | None = Rotary(layout="interleaved")
    mask: AttentionMask = ALL

    def __post_init__(self):
        _check_fields(self)

    def build(self, sizes: Sizes) -> nn.Module:
        return _Planes(self, sizes, cut, put_together)


@register("mixer/pooled")
@dataclass(frozen=True, kw_only=True)
class Pooled:
    """As `Phases`, on the mean of each square instead."""

    factor: int = 2
    heads: int | None = None
    local: int = 5
    scores: Scores = Cosine()
    positions: Positions | None = Rotary(layout="interleaved")
    mask: AttentionMask = ALL

    def __post_init__(self):
        _check_fields(self)

    def build(self, sizes: Sizes) -> nn.Module:
        return _Planes(self, sizes, average, repeat)


def _check_fields(config: Phases | Pooled) -> None:
    check(config.factor >= 1, "mixer.factor", config.factor, "1 or more")
    check(config.local == 0 or config.local % 2 == 1, "mixer.local", config.local, "odd, or 0 for none")


def cut(x: Float[Tensor, "b d y x"], factor: int) -> Float[Tensor, "b p m d"]:
    """Interleaved planes, phase (row, column) by phase, each in raster order."""
    b, d, y, w = x.shape
    parts = x.reshape(b, d, y // factor, factor, w // factor, factor)
    return parts.permute(0, 3, 5, 2, 4, 1).reshape(b, factor**2, -1, d)


def put_together(x: Float[Tensor, "b p m d"], factor: int, axes: tuple[int, int]) -> Float[Tensor, "b n d"]:
    """The inverse of `cut`, as tokens in raster order of the plane `axes`."""
    b, d, (y, w) = x.shape[0], x.shape[3], axes
    parts = x.reshape(b, factor, factor, y // factor, w // factor, d)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(b, y * w, d)


def average(x: Float[Tensor, "b d y x"], factor: int) -> Float[Tensor, "b 1 m d"]:
    """One plane, the mean of each square."""
    return as_tokens(functional.avg_pool2d(x, factor)).unsqueeze(1)


def repeat(x: Float[Tensor, "b 1 m d"], factor: int, axes: tuple[int, int]) -> Float[Tensor, "b n d"]:
    """Each value of the plane in all places of its square."""
    return put_together(x.expand(-1, factor**2, -1, -1), factor, axes)


class _Scaled(nn.Module):
    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return q, k


class _Cosine(nn.Module):
    scale: Tensor

    def __init__(self, config: Cosine, heads: int):
        super().__init__()
        self.limit = config.limit
        parameter(self, "scale", (heads,), Constant(math.log(config.start)), "vector")

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.scale.clamp(max=self.limit).exp() * math.sqrt(q.shape[-1])
        return functional.normalize(q, dim=-1) * scale[:, None, None].to(q.dtype), functional.normalize(k, dim=-1)


class _Planes(nn.Module):
    """Attention within planes; `down` makes them of a map, `up` tokens of them."""

    attends = True

    def __init__(
        self, config: Phases | Pooled, sizes: Sizes, down: Callable[..., Tensor], up: Callable[..., Tensor]
    ):  # fmt: skip
        super().__init__()
        self.heads = sizes.heads if config.heads is None else config.heads
        fits = self.heads > 0 and sizes.width % self.heads == 0
        check(fits, "heads", self.heads, f"a divisor of the width {sizes.width}")
        self.factor, self.mask, self.down, self.up = config.factor, config.mask, down, up
        self.local = conv(sizes.width, sizes.width, config.local, groups=sizes.width) if config.local else None
        self.qkv = linear(sizes.width, 3 * sizes.width)
        self.scores = config.scores.build(self.heads)
        self.out = linear(sizes.width, sizes.width)
        own = replace(sizes, heads=self.heads)
        self.positions = config.positions.build(own) if config.positions is not None else None
        self.tags: dict[Any, Tags] = {}

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        axes = call.side.grid.axes
        x = plane(tokens, axes)
        check(all(a % self.factor == 0 for a in axes), "grid", axes, f"a multiple of {self.factor} on each axis")
        x = x if self.local is None else x + self.local(x)
        coarse = self.down(x, self.factor)  # (b, p, m, d)
        q, k, v = self.qkv(coarse).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)  # (b, p, h, m, e)
        q, k = self.scores(q, k)
        tags = self._tags(Grid.of(tuple(a // self.factor for a in axes)), x.device)
        placing = call.positions if self.positions is None else self.positions.placing
        parts = [part.flatten(1, 2) for part in (q, k, v)]  # planes stand beside heads, so rows stay rows
        out = call.at(call.attend_site, attend, *parts, tags, tags, self.mask, placing)
        out = out.unflatten(1, (-1, self.heads)).transpose(2, 3).flatten(3)  # (b, p, m, d)
        return self.out(self.up(out, self.factor, axes))

    def _tags(self, grid: Grid, device: torch.device) -> Tags:
        key = (grid, device)
        if key not in self.tags:
            with torch.inference_mode(False):  # kept for later passes, which may train
                self.tags[key] = Tags(n=grid.tokens, coords=grid.coords(device), extent=grid.axes)
        return self.tags[key]

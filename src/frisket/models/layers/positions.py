"""Positions: added to the tokens once (sincos, learned) or applied inside attention (rotary, relative bias).

A module of this slot has both faces: `module(h, tags)` is called once on the embedded tokens of the state, `place` in
every self-attention. Tables are made from formulas in float64 and kept in float32; what depends on the tags alone is
remembered with them.
Shapes: b batch, n tokens, m keys, h heads, d width, a axes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.attend import Placing
from frisket.models.grid import Grid
from frisket.models.init import ZEROS, Law, Normal, parameter
from frisket.models.layers.base import Sizes
from frisket.models.tokens import Tags


@runtime_checkable
class PositionModule(Protocol):
    """What a built part offers: `placing` is None where attention is not touched."""

    placing: Placing | None

    def __call__(self, h: Tensor, tags: Tags) -> Tensor: ...


@runtime_checkable
class Positions(Protocol):
    """A registered value ("positions/...")."""

    def build(self, sizes: Sizes) -> nn.Module: ...


@register("positions/none")
@dataclass(frozen=True, kw_only=True)
class NoPositions:
    """The tokens are a set."""

    def build(self, sizes: Sizes) -> nn.Module:
        return _None()


@register("positions/sincos")
@dataclass(frozen=True, kw_only=True)
class SinCos:
    """A frozen table: each axis has an equal share of the features, last axis first (w, then h), and in a share all
    sines before all cosines, frequencies base^(-k / count) (facebookresearch/DiT models.py). The table of the fitted
    grid is saved with the weights; other grids are computed when they come. Features left over by the shares are 0.
    scale: the table is multiplied by it. Beside ids, whose vectors start small, a table of height 1 drowns what they say
    for hundreds of steps; there give what the ids start with, such as 0.06."""

    base: float = 10_000.0
    scale: float = 1.0

    def __post_init__(self):
        check(self.scale > 0, "positions.scale", self.scale, "positive")

    def build(self, sizes: Sizes) -> nn.Module:
        return _SinCos(self, sizes)


@register("positions/learned")
@dataclass(frozen=True, kw_only=True)
class Learned:
    """A trained vector a place of the fitted grid. start: normal with `std`, so no prior of locality (PiT), or the
    table of `SinCos` (MDT)."""

    std: float = 0.02
    start: Literal["normal", "sincos"] = "normal"

    def build(self, sizes: Sizes) -> nn.Module:
        return _Learned(Normal(self.std) if self.start == "normal" else Sinusoids(sizes.grid), sizes)


@register("positions/rotary")
@dataclass(frozen=True, kw_only=True)
class Rotary:
    """Rotation of queries and keys by their coordinates (RoPE, arXiv 2104.09864). With several axes the pairs of
    features are shared out among them in order; pairs left over do not turn. layout: which features form a pair:
    "half" (k and k + d/2) or "interleaved" (2k and 2k + 1). span: how far apart the ends of every axis lie, whatever the
    grid (DDT: 16); None: neighbours are 1 apart."""

    layout: Literal["half", "interleaved"] = "half"
    base: float = 10_000.0
    span: float | None = None

    def __post_init__(self):
        check(self.span is None or self.span > 0, "positions.span", self.span, "positive, or None")

    def build(self, sizes: Sizes) -> nn.Module:
        return _Rotary(self, sizes)


@register("positions/bias")
@dataclass(frozen=True, kw_only=True)
class RelativeBias:
    """A trained number a head and a difference of coordinates, added to the scores; differences beyond the fitted grid
    count as the largest ones. spare: rows that nothing reads (MDT's tables hold 3)."""

    std: float = 0.02
    spare: int = 0

    def build(self, sizes: Sizes) -> nn.Module:
        return _RelativeBias(self, sizes)


@dataclass(frozen=True)
class Sinusoids:
    """A parameter that starts as the table of `SinCos` of a grid."""

    grid: Grid
    base: float = 10_000.0

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.copy_(sincos(self.grid.coords(), value.shape[-1], self.base))


class _None(nn.Module):
    placing = None

    def forward(self, h: Tensor, tags: Tags) -> Tensor:
        return h


class _SinCos(nn.Module):
    placing = None
    table: Tensor

    def __init__(self, config: SinCos, sizes: Sizes):
        super().__init__()
        self.config, self.width, self.grid = config, sizes.width, sizes.grid
        parameter(self, "table", (sizes.grid.tokens, sizes.width), ZEROS, "table")

    def fill_tables(self) -> None:
        """Write the fitted grid's table."""
        with torch.no_grad():
            self.table.copy_(self.at(self.grid.coords()))

    def at(self, coords: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        """The table's rows for any coordinates."""
        return sincos(coords, self.width, self.config.base) * self.config.scale

    def forward(self, h: Float[Tensor, "b n d"], tags: Tags) -> Float[Tensor, "b n d"]:
        if tags.extent == self.grid.axes:
            return h + self.table
        key = ("sincos", self.width, self.config)
        if key not in tags.memo:
            with torch.inference_mode(False):
                tags.memo[key] = self.at(coords_of(tags)).to(h.device)
        return h + tags.memo[key].to(h.dtype)


class _Learned(nn.Module):
    placing = None
    table: Tensor

    def __init__(self, law: Law, sizes: Sizes):
        super().__init__()
        self.grid = sizes.grid
        parameter(self, "table", (sizes.grid.tokens, sizes.width), law, "embedding")

    def forward(self, h: Float[Tensor, "b n d"], tags: Tags) -> Float[Tensor, "b n d"]:
        if tags.extent != self.grid.axes:
            raise FrisketError(f"learned positions of a grid {self.grid.axes} cannot place a grid {tags.extent}")
        return h + self.table


class Turning(nn.Module, ABC):
    """Positions that turn queries and keys by angles of their coordinates. key: what the angles depend on beside the
    tokens and a head's width. layout: which features form a pair."""

    def __init__(self, key: tuple[Any, ...], layout: Literal["half", "interleaved"]):
        super().__init__()
        self.key, self.layout = key, layout

    @property
    def placing(self) -> Placing:
        return self

    def forward(self, h: Tensor, tags: Tags) -> Tensor:
        return h

    def place(self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags) -> tuple[Tensor, Tensor, None]:
        """q and k turned; dot products then depend on differences of coordinates only."""
        return self._turn(q, q_tags), self._turn(k, k_tags), None

    @abstractmethod
    def angles(self, tags: Tags, width: int) -> Float[Tensor, "*b n half"]:
        """An angle for each pair of a head's features."""

    def _turn(self, x: Float[Tensor, "b h n d"], tags: Tags) -> Float[Tensor, "b h n d"]:
        key = (*self.key, x.shape[-1])
        if key not in tags.memo:
            with torch.inference_mode(False):  # kept for later passes, which may train
                angles = self.angles(tags, x.shape[-1])
                wide = angles if angles.ndim == 2 else angles.unsqueeze(1)  # (n, d/2) or (b, 1, n, d/2)
                tags.memo[key] = wide.cos().float().to(x.device), wide.sin().float().to(x.device)
        cos, sin = tags.memo[key]
        return rotate(x, cos, sin, self.layout)


class _Rotary(Turning):
    def __init__(self, config: Rotary, sizes: Sizes):
        super().__init__(("rotary", config.base, config.span), config.layout)
        self.base, self.span = config.base, config.span

    def angles(self, tags: Tags, width: int) -> Float[Tensor, "*b n half"]:
        return rotary_angles(coords_of(tags) if self.span is None else _spanned(tags, self.span), width, self.base)


class _RelativeBias(nn.Module):
    table: Tensor

    def __init__(self, config: RelativeBias, sizes: Sizes):
        super().__init__()
        self.axes: tuple[int, ...] = sizes.grid.axes
        rows = math.prod(2 * a - 1 for a in self.axes) + config.spare
        parameter(self, "table", (rows, sizes.heads), Normal(config.std), "embedding")

    @property
    def placing(self) -> Placing:
        return self

    def forward(self, h: Tensor, tags: Tags) -> Tensor:
        return h

    def place(self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags) -> tuple[Tensor, Tensor, Tensor]:
        """The bias (h, n, m), or (b, h, n, m) where coordinates differ by row."""
        check(q.shape[1] == self.table.shape[1], "heads", q.shape[1], f"{self.table.shape[1]} under a relative bias")
        held = k_tags.memo.get("bias")
        if held is None or held[0] is not q_tags:
            with torch.inference_mode(False):
                held = k_tags.memo["bias"] = (q_tags, self._rows(coords_of(q_tags), coords_of(k_tags)))
        return q, k, self.table[held[1]].movedim(-1, -3)

    def _rows(self, q: Tensor, k: Tensor) -> Tensor:
        out = torch.zeros((), dtype=torch.int64, device=q.device)
        for i, a in enumerate(self.axes):
            apart = (q[..., :, None, i] - k[..., None, :, i]).round().long().clamp(1 - a, a - 1)
            out = out * (2 * a - 1) + apart + a - 1
        return out


def sincos(coords: Float[Tensor, "*b n a"], width: int, base: float) -> Float[Tensor, "*b n d"]:
    """The table of `SinCos`, float32."""
    axes = coords.shape[-1]
    count = width // (2 * axes)
    check(count > 0, "width", width, f"at least {2 * axes} for {axes} axes of sincos positions")
    frequency = base ** (-torch.arange(count, dtype=torch.float64, device=coords.device) / count)
    shares = []
    for i in reversed(range(axes)):
        angle = coords[..., i, None].double() * frequency
        shares += [angle.sin(), angle.cos()]
    table = torch.cat(shares, -1).float()
    return nn.functional.pad(table, (0, width - table.shape[-1]))


def rotary_angles(coords: Float[Tensor, "*b n a"], width: int, base: float) -> Float[Tensor, "*b n p"]:
    """float64 angles of the width / 2 pairs of a head, axis after axis, zeros for pairs left over."""
    axes, pairs = coords.shape[-1], width // 2
    count = pairs // axes
    check(width % 2 == 0 and count > 0, "width of a head", width, f"even and at least {2 * axes} for rotary positions")
    frequency = base ** (-torch.arange(count, dtype=torch.float64, device=coords.device) / count)
    angles = (coords.double().unsqueeze(-1) * frequency).flatten(-2)
    return nn.functional.pad(angles, (0, pairs - angles.shape[-1]))


def rotate(x: Float[Tensor, "b h n d"], cos: Tensor, sin: Tensor, layout: str) -> Float[Tensor, "b h n d"]:
    """Turn each pair of features by its angle; computed in float32 at least."""
    if layout == "half":
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2).to(x.dtype)


def coords_of(tags: Tags) -> Tensor:
    if tags.coords is None:
        raise FrisketError("positions need tokens that carry coords")
    return tags.coords


def _spanned(tags: Tags, span: float) -> Tensor:
    """Coordinates whose ends lie `span` apart on every axis of the grid that the tokens are of."""
    coords = coords_of(tags)
    if tags.whole is None:
        raise FrisketError("positions of a fixed span need tokens of one grid; sequences joined to it have no place")
    last = torch.tensor([max(1, a - 1) for a in tags.whole], dtype=torch.float64, device=coords.device)
    return coords.double() * (span / last)

"""Attention in windows: the grid is cut into boxes and each token looks at its own box, at the cost of the box alone.

Swin's windows (arXiv 2103.14030). `mask/partition` says the same as a predicate over all pairs; here the boxes are laid
side by side as rows, so their number times their size squared is all that is computed. With a shift the grid is rolled
first, so that boxes at the border hold tokens of both ends; these are kept apart by the predicate, as in Swin.
Shapes: b batch, n tokens, w windows, p tokens of a window, d width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Sizes, whole_grid
from frisket.models.masks.base import All
from frisket.models.masks.local import Partition
from frisket.models.tokens import Tags, Tokens

Box = int | tuple[int, ...]


@register("mixer/windows")
@dataclass(frozen=True, kw_only=True)
class Windows:
    """Self-attention in boxes of `size` tokens (one number for all axes, or one an axis; a divisor of the grid's).
    shift: how far the cuts are moved, in tokens, below the size. attention: what runs in each box; its mask holds
    inside it. It reads the whole grid in raster order."""

    size: Box = 4
    shift: Box = 0
    attention: Attention = Attention()

    def __post_init__(self):
        sizes, shifts = _tuple(self.size), _tuple(self.shift)
        check(bool(sizes) and min(sizes) >= 1, "windows.size", self.size, "at least 1")
        axes = max(len(sizes), len(shifts))
        pairs = zip(_each(self.size, axes, "windows.size"), _each(self.shift, axes, "windows.shift"), strict=True)
        fits = axes > 0 and all(0 <= s < p for p, s in pairs)
        check(fits, "windows.shift", self.shift, f"in [0, size) with a size of {self.size}")

    def build(self, sizes: Sizes) -> nn.Module:
        box_of(self.size, sizes.grid, "windows.size")
        return _Windows(self, sizes)


class _Windows(nn.Module):
    attends = True

    def __init__(self, config: Windows, sizes: Sizes):
        super().__init__()
        self.size, self.shift, attention = config.size, config.shift, config.attention
        if any(_tuple(config.shift)):
            cuts = _same(config.size), _same(config.shift, -1.0)
            apart = Partition(size=cuts[0], shift=cuts[1])
            attention = replace(attention, mask=apart if isinstance(attention.mask, All) else attention.mask & apart)  # type: ignore[operator]
        self.inner = attention.build(sizes)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        grid = whole_grid(tokens, call.side, "mixer/windows")
        cut = cut_of(tokens, grid, self.size, self.shift)
        mixed = self.inner(cut.lay(tokens.h), call)
        return cut.unlay(mixed, len(tokens.h))


@dataclass(frozen=True, eq=False)
class Cut:
    """A grid laid out in boxes. order: tokens box by box (n,). back: where each token went (n,). tags: of the boxes as
    rows (b w, p)."""

    order: Int[Tensor, "n"]
    back: Int[Tensor, "n"]
    tags: Tags

    def lay(self, h: Float[Tensor, "b n d"]) -> Tokens:
        """Boxes as rows."""
        return Tokens(h[:, self.order].reshape(-1, self.tags.n, h.shape[-1]), self.tags)

    def unlay(self, h: Float[Tensor, "bw p d"], b: int) -> Float[Tensor, "b n d"]:
        """Rows of boxes as the grid's tokens."""
        return h.reshape(b, -1, h.shape[-1])[:, self.back]


def cut_of(tokens: Tokens, grid: Grid, size: Box, shift: Box = 0) -> Cut:
    """The grid of `tokens` in boxes, made once for their tags. Raises `FrisketError` if the boxes do not fit."""
    b, device = len(tokens.h), tokens.h.device
    key = ("cut", size, shift, b, device)
    held = tokens.tags.memo.get(key)
    if held is None:
        with torch.inference_mode(False):  # kept for later passes, which may train
            order = window_order(grid, size, shift).to(device)
            taken = tokens.tags.take(order.expand(b, -1))
            held = tokens.tags.memo[key] = Cut(order, order.argsort(), _rows(taken, box_of(size, grid, "windows.size")))
    return held


def window_order(grid: Grid, size: Box, shift: Box = 0) -> Int[Tensor, "n"]:
    """Tokens of the grid box by box, in raster order of boxes and inside them, after rolling the grid back by `shift`.

    Raises `FrisketError` if the boxes do not fit."""
    box = box_of(size, grid, "windows.size")
    shifts = _each(shift, len(box), "windows.shift")
    places = torch.arange(grid.tokens, device="cpu").reshape(grid.axes)
    places = places.roll(tuple(-s for s in shifts), tuple(range(len(box))))
    split = places.reshape([v for a, p in zip(grid.axes, box, strict=True) for v in (a // p, p)])
    k = len(box)
    return split.permute(*(2 * i for i in range(k)), *(2 * i + 1 for i in range(k))).reshape(-1)


def box_of(size: Box, grid: Grid, field: str) -> tuple[int, ...]:
    """One size an axis. Raises `FrisketError` where it does not divide the grid."""
    box = _each(size, len(grid.axes), field)
    if any(a % p for a, p in zip(grid.axes, box, strict=True)):
        raise FrisketError(f"{field} is {size}; it must divide a grid of {grid.axes} tokens")
    return box


def _rows(tags: Tags, box: tuple[int, ...]) -> Tags:
    """Tags (b, n, ...) as those of rows of one box each; a token's number in the sequence is its number in the box."""
    p = math.prod(box)
    own: dict[str, Any] = {name: v.reshape(-1, p, *v.shape[2:]) for name, v in tags.items().items() if name != "index"}
    extra = {name: v.reshape(-1, p, *v.shape[2:]) for name, v in tags.extra.items()}
    return tags.change(n=p, extent=None, index=None, extra=extra, **own)


def _tuple(value: Box) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _same(value: Box, sign: float = 1.0) -> float | tuple[float, ...]:
    return tuple(sign * v for v in value) if isinstance(value, tuple) else sign * value


def _each(value: Box, axes: int, field: str) -> tuple[int, ...]:
    out = value if isinstance(value, tuple) and len(value) > 1 else _tuple(value) * axes
    check(len(out) == axes, field, value, f"one number, or one for each of {axes} axes")
    return out

"""Exact anti-aliasing: the share of every pixel's area that lies inside an outline, for many outlines at once.

Each edge is cut at pixel borders; a piece inside one pixel adds its signed trapezoid to that pixel and its height to
all pixels right of it, which one cumulative sum per row collects (as font rasterisers do). The result is the box filter
of the polygon, with no sampling error at any size; it is rounded to 1 / 1024, so that "untouched" is exactly zero.
Shapes: e edges, n outlines, h w pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEVELS = 1024


def coverage(edges: Float[Tensor, "e 4"], owner: Int[Tensor, "e"], n: int, size: tuple[int, int]) -> Tensor:
    """float32 (n, h, w) in [0, 1]. edges: x0 y0 x1 y1 in pixels from the top left corner; owner: outline of each."""
    h, w = size
    x, y, dy, owner = _cut_rows(edges, owner, h)
    column, mean, dy, piece = _cut_columns(x, dy, w)
    inside = (mean - column).clamp(0, 1) * dy
    at = (owner[piece] * h + y[piece]) * (w + 2) + column.clamp(min=0)
    out = torch.zeros(n * h * (w + 2), dtype=torch.float32)
    out.index_add_(0, at, dy - inside)
    out.index_add_(0, at + 1, inside)
    area = out.view(n, h, w + 2).cumsum(-1)[..., :w]
    return (area * LEVELS).round().clamp(0, LEVELS) / LEVELS


def _expand(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """For spans of `count` cells from `first`: the span of each cell, and its cell number."""
    span = torch.repeat_interleave(count)
    ends = count.cumsum(0)
    return span, torch.arange(len(span)) + (first - ends + count)[span]


def _cut_rows(edges: Tensor, owner: Tensor, h: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pieces of one row each: x at both ends (2, p), row, signed height, owner. Parts above and below are dropped."""
    x0, y0, x1, y1 = edges.unbind(1)
    low, high = torch.minimum(y0, y1), torch.maximum(y0, y1)
    first, last = low.floor().clamp(0, h), high.ceil().clamp(0, h)
    span, row = _expand(first.long(), (last - first).long() * (y0 != y1))  # level edges bound no area
    x0, y0, x1, y1, low, high = (v[span] for v in (x0, y0, x1, y1, low, high))
    top, bottom = torch.maximum(low, row), torch.minimum(high, row + 1)
    slope = (x1 - x0) / (y1 - y0)
    left, right = torch.minimum(x0, x1), torch.maximum(x0, x1)
    ends = (x0 + (torch.stack([top, bottom]) - y0) * slope).clamp(left, right)  # nearly level edges divide badly
    return ends, row, torch.sign(y1 - y0) * (bottom - top), owner[span]


def _cut_columns(x: Tensor, dy: Tensor, w: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pieces of one column each: column (-1: all that is left of the frame, w: right of it), mean x, height, piece."""
    left, right = x.amin(0), x.amax(0)
    first = left.floor().clamp(-1, w)
    last = torch.maximum(right.ceil().clamp(max=w + 1), first + 1)
    piece, column = _expand(first.long(), (last - first).long())
    left, right, dy = left[piece], right[piece], dy[piece]
    a = torch.where(column < 0, left, torch.maximum(left, column))
    b = torch.where(column >= w, right, torch.minimum(right, column + 1))
    width = right - left
    share = torch.where(width > 0, (b - a) / width.clamp(min=1e-20), torch.ones_like(width))
    mean = torch.where(column < 0, column, (a + b) / 2)
    return column, mean, dy * share, piece

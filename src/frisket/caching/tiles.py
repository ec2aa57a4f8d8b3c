"""Attention over some tiles: (query tile, key tile) pairs that are not alive cost nothing, not even their scores.

The exact softmax over the keys of alive tiles, tile by tile from the last key to the first with running maxima, as
flash attention visits them; on the way every visited tile gets its *gap*: how far its best score stays below the
running maximum, in powers of two (the test of LiteAttention, arXiv 2511.11062; facts from moonmath-ai/LiteAttention,
whose kernel is CUDA). `block_mask` lowers the same tiles to FlexAttention; on a CPU it is checked against this kernel,
on a GPU it has not been run.
Shapes: b batch, h heads, n queries, m keys, d width of a head (e of its values), i query tiles, j key tiles; p pairs alive at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from frisket.core.errors import check
from frisket.core.registry import register

LOG2E = math.log2(math.e)
TOGETHER = 2**19  # scores held at once: they stay in a core's cache


@register("tiles/size")
@dataclass(frozen=True, kw_only=True)
class Tile:
    """Queries and keys of a tile. The last tile of a sequence may be shorter."""

    queries: int = 64
    keys: int = 64

    def __post_init__(self):
        check(self.queries >= 1 and self.keys >= 1, "tile", (self.queries, self.keys), "at least 1 query and 1 key")

    def counts(self, n: int, m: int) -> tuple[int, int]:
        """Tiles over n queries and over m keys."""
        return -(-n // self.queries), -(-m // self.keys)


@dataclass(frozen=True, eq=False)
class Attended:
    """out (b, h, n, e). lse: log of the sum of exponentials of each query's scores, -inf where it saw none. gap: of each
    tile the largest gap of its queries; +inf for the first one visited, which has nothing to compare with, -inf for
    tiles that were not visited."""

    out: Float[Tensor, "b h n e"]
    lse: Float[Tensor, "b h n"]
    gap: Float[Tensor, "b h i j"]


def attend_tiles(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    v: Float[Tensor, "b h m e"],
    alive: Bool[Tensor, "b h i j"],
    tile: Tile,
    bias: Float[Tensor, "_ _ n m"] | None = None,
) -> Attended:
    """softmax(q k / sqrt(d) + bias) v over the keys of alive tiles. bias: with batch and heads of 1 or their own; -inf
    hides a key.

    Raises `FrisketError` unless `alive` has the tiles that `tile` gives.
    """
    (b, h, n, d), m = q.shape, k.shape[2]
    rows, columns = tile.counts(n, m)
    check(alive.shape == (b, h, rows, columns), "alive", tuple(alive.shape), f"of shape {(b, h, rows, columns)}")
    wide = torch.promote_types(q.dtype, torch.float32)
    qt = _cut(q.to(wide) * d**-0.5, tile.queries).flatten(0, 2)  # (b h i, Bq, d)
    kt, vt = (_cut(x.to(wide), tile.keys).flatten(0, 1) for x in (k, v))  # (b h, j, Bk, d)
    flat = alive.reshape(-1, columns)
    cut = _Cut(tile, (b, h, n, m), bias)
    out, lse = qt.new_empty(len(qt), tile.queries, v.shape[3]), qt.new_empty(len(qt), tile.queries)
    gap = qt.new_full((len(qt), columns), -math.inf)
    some = max(1, TOGETHER // (tile.queries * tile.keys))
    for first in range(0, len(qt), some):
        part = slice(first, min(first + some, len(qt)))
        out[part], lse[part], gap[part] = _visit(qt[part], kt, vt, flat[part], cut, first)
    shape = (b, h, rows * tile.queries)
    return Attended(
        out.view(*shape, v.shape[3])[:, :, :n].to(q.dtype), lse.view(shape)[:, :, :n], gap.view(b, h, rows, columns)
    )


def tile_gaps(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    alive: Bool[Tensor, "b h i j"],
    tile: Tile,
    bias: Float[Tensor, "_ _ n m"] | None = None,
) -> Float[Tensor, "b h i j"]:
    """The gaps alone: the same visit without the values."""
    return attend_tiles(q, k, k[..., :0], alive, tile, bias).gap


def tile_excess(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    tile: Tile,
    bias: Float[Tensor, "_ _ n m"] | None = None,
) -> Float[Tensor, "b h i j"]:
    """What gaps would be against each query's largest score of all, 0 at most: looks at every score, in no order."""
    m, out = k.shape[2], []
    for first in range(0, q.shape[2], tile.queries):
        part = slice(first, first + tile.queries)
        score = (q[:, :, part] @ k.mT) * q.shape[-1] ** -0.5
        score = score if bias is None else score + bias[:, :, part]
        top = pad(score, (0, -m % tile.keys), value=-math.inf).unflatten(3, (-1, tile.keys)).amax(-1)  # (b, h, Bq, j)
        out.append(((top - top.amax(-1, keepdim=True)) * LOG2E).nan_to_num(nan=-math.inf, neginf=-math.inf).amax(2))
    return torch.stack(out, 2)


def merge(parts: list[tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n"]]]) -> Float[Tensor, "b h n d"]:
    """One attention from attentions (out, lse) over disjoint sets of keys, exactly."""
    lse = torch.stack([part[1] for part in parts])
    share = (lse - lse.amax(0)).nan_to_num(nan=-math.inf).softmax(0).nan_to_num()
    return sum(s[..., None].to(out.dtype) * out for s, (out, _) in zip(share, parts, strict=True))  # type: ignore


def everywhere(alive: Bool[Tensor, "b h i j"], tile: Tile, n: int, m: int) -> Bool[Tensor, "b h n m"]:
    """The tiles as a mask of single pairs."""
    return alive.repeat_interleave(tile.queries, 2)[:, :, :n].repeat_interleave(tile.keys, 3)[..., :m]


def block_mask(alive: Bool[Tensor, "b h i j"], tile: Tile, n: int, m: int) -> Any:
    """The tiles as a FlexAttention `BlockMask`, every alive one whole. Its CUDA kernels want tiles of a multiple of 128
    on most devices."""
    from torch.nn.attention.flex_attention import BlockMask

    count = alive.sum(-1, dtype=torch.int32)
    order = alive.to(torch.int8).argsort(dim=-1, descending=True, stable=True).to(torch.int32)  # alive ones first
    none = torch.zeros_like(count)

    def mod(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return alive[row, head, query // tile.queries, key // tile.keys]

    size = (tile.queries, tile.keys)
    return BlockMask.from_kv_blocks(none, order, count, order, BLOCK_SIZE=size, mask_mod=mod, seq_lengths=(n, m))


class _Cut:
    """What hides keys: the end of the sequence and the bias, tile by tile."""

    def __init__(self, tile: Tile, shape: tuple[int, int, int, int], bias: Tensor | None):
        self.tile, (self.b, self.h, self.n, self.m) = tile, shape
        self.rows, self.columns = tile.counts(self.n, self.m)
        self.bias = None
        if bias is not None:
            short = (0, self.columns * tile.keys - self.m, 0, self.rows * tile.queries - self.n)
            wide = pad(bias.expand(-1, -1, self.n, self.m), short)
            self.bias = wide.unflatten(3, (self.columns, -1)).unflatten(2, (self.rows, -1))

    def heads(self, rows: Tensor) -> Tensor:
        """Which (batch, head) the query tiles belong to."""
        return rows // self.rows

    def hide(self, score: Float[Tensor, "p queries keys"], rows: Tensor, j: int) -> Tensor:
        """Scores of key tile j with the bias added and what lies beyond the sequence hidden."""
        if self.bias is not None:
            head = self.heads(rows)
            row, head = (head // self.h) % self.bias.shape[0], (head % self.h) % self.bias.shape[1]
            score = score + self.bias[row, head, rows % self.rows, :, j]
        beyond = (j + 1) * self.tile.keys - self.m
        if beyond > 0:
            score[..., -beyond:] = -math.inf
        return score

    def real(self, rows: Tensor) -> Bool[Tensor, "p queries"] | None:
        """Which queries of the tiles exist; None if all do."""
        if self.rows * self.tile.queries == self.n:
            return None
        at = torch.arange(self.tile.queries, device=rows.device)
        return (rows % self.rows)[:, None] * self.tile.queries + at < self.n


def _cut(x: Tensor, size: int) -> Tensor:
    """(b, h, n, d) as (b, h, tiles, size, d), zeros behind the end."""
    return pad(x, (0, 0, 0, -x.shape[2] % size)).unflatten(2, (-1, size))


def _visit(
    qt: Tensor, kt: Tensor, vt: Tensor, alive: Tensor, cut: _Cut, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Online softmax of query tiles first, first + 1, ... over their alive key tiles, last key tile first."""
    top = qt.new_full(qt.shape[:2], -math.inf)
    total, out = torch.zeros_like(top), qt.new_zeros(*qt.shape[:2], vt.shape[-1])
    gap = qt.new_full(alive.shape, -math.inf)
    seen = torch.zeros(len(qt), dtype=torch.bool, device=qt.device)
    numbers = torch.arange(first, first + len(qt), device=qt.device)
    for j in reversed(range(alive.shape[1])):
        on = alive[:, j].nonzero()[:, 0]
        if not len(on):
            continue
        head = cut.heads(numbers[on])
        score = cut.hide(qt[on] @ kt[head, j].mT, numbers[on], j)  # (p, Bq, Bk)
        before, own = top[on], score.amax(-1)
        gap[on, j] = _gap(own, before, seen[on], cut.real(numbers[on]))
        best = torch.maximum(own, before)
        level = best.masked_fill(best == -math.inf, 0.0)
        weight = torch.exp(score.sub_(level[..., None]))
        fade = torch.exp(before - level)
        total[on] = total[on] * fade + weight.sum(-1)
        if vt.shape[-1]:
            out[on] = out[on] * fade[..., None] + weight @ vt[head, j]
        top[on], seen[on] = best, True
    lse = top + total.log()
    return out / total.clamp(min=torch.finfo(total.dtype).tiny)[..., None], lse, gap


def _gap(own: Tensor, before: Tensor, seen: Tensor, real: Tensor | None) -> Float[Tensor, "p"]:
    """The largest over a tile's queries of (own maximum - maximum so far), in powers of two. A query that sees no key of
    the tile asks for nothing, one that saw none before asks for all."""
    gap = ((own - before) * LOG2E).masked_fill(own == -math.inf, -math.inf)
    if real is not None:
        gap = gap.masked_fill(~real, -math.inf)
    return gap.amax(-1).masked_fill(~seen, math.inf)

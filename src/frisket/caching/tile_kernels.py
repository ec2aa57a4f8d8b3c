"""Ways to compute attention over alive tiles; all give the same result.

`tiles` is the one that also finds gaps on its way. `gathered` hands each query tile and its alive keys to torch's own
kernel, `flex` all of them to FlexAttention; both leave gaps to a pass over the scores alone. Small tiles favour
`tiles`, long sequences with few alive tiles `gathered`. `flex` is checked on CPUs, where it computes everything; on a
GPU it has not been run.
Shapes: b batch, h heads, n queries, m keys, d width of a head, i query tiles, j key tiles.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.tiles import Tile, attend_tiles, block_mask
from frisket.models.attend import flex_kernel


def by_tiles(
    q: Tensor, k: Tensor, v: Tensor, alive: Tensor, tile: Tile, bias: Tensor | None
) -> Float[Tensor, "b h n d"]:
    """Batched over pairs of tiles (`attend_tiles`)."""
    return attend_tiles(q, k, v, alive, tile, bias).out


def gathered(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    v: Float[Tensor, "b h m d"],
    alive: Bool[Tensor, "b h i j"],
    tile: Tile,
    bias: Float[Tensor, "_ _ n m"] | None = None,
) -> Float[Tensor, "b h n d"]:
    """One call of torch's kernel a query tile, on its alive keys alone. Every query must see one of them."""
    (b, h, n, _), m = q.shape, k.shape[2]
    wide = None if bias is None else bias.to(q.dtype).expand(b, h, n, m)
    own = torch.arange(m, device=k.device) // tile.keys  # the tile of each key
    out = q.new_empty(*q.shape[:3], v.shape[-1])
    for row in range(b):
        for head in range(h):
            for i, part in enumerate(torch.arange(n, device=q.device).split(tile.queries)):
                queries = slice(int(part[0]), int(part[-1]) + 1)
                keys = alive[row, head, i][own].nonzero()[:, 0]
                term = None if wide is None else wide[row : row + 1, head : head + 1, queries].index_select(3, keys)
                out[row, head, queries] = scaled_dot_product_attention(
                    q[row : row + 1, head : head + 1, queries], k[row, head].index_select(0, keys)[None, None],
                    v[row, head].index_select(0, keys)[None, None], attn_mask=term,
                )[0, 0]  # fmt: skip
    return out


def by_flex(
    q: Tensor, k: Tensor, v: Tensor, alive: Tensor, tile: Tile, bias: Tensor | None
) -> Float[Tensor, "b h n d"]:
    """FlexAttention with the tiles as its `BlockMask`."""
    made = block_mask(alive, tile, q.shape[2], k.shape[2])
    score_mod = None
    if bias is not None:
        wide = bias.to(q.dtype).expand(*alive.shape[:2], -1, -1)
        score_mod = lambda score, row, head, query, key: score + wide[row, head, query, key]  # noqa: E731
    return flex_kernel(q.device.type)(q, k, v, score_mod=score_mod, block_mask=made)


KERNELS = {"tiles": by_tiles, "gathered": gathered, "flex": by_flex}

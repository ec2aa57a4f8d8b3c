"""`attend`: the one attention call. It applies positions, lowers the mask and picks the kernel.

Every attention of every backbone ends here, at a site of its own, so a handler may change q, k, v, the mask or the
positions, or answer by itself. Without a mask or a bias it is plain scaled dot-product attention.
Shapes: b batch, h heads, n queries, m keys, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from frisket.core.errors import unknown
from frisket.models.masks.base import All, AttentionMask, View
from frisket.models.tokens import Tags

ALL = All()


@runtime_checkable
class Placing(Protocol):
    """What a position part does inside attention."""

    def place(
        self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags
    ) -> tuple[Tensor, Tensor, Float[Tensor, "*b h n m"] | None]:
        """q and k as they enter the product, and a bias to add to it, or None."""
        ...


@dataclass(frozen=True, eq=False)
class Lowered:
    """A mask made ready. allowed: a bool tensor for SDPA or a `BlockMask`; every row has somebody to look at; None
    where all is allowed, so that the plain kernel runs. empty: rows (b, 1, n, 1) that look at nobody and whose result is
    zero; None when there are none."""

    allowed: Any
    empty: Bool[Tensor, "b 1 n 1"] | None = None


def attend(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h m d"],
    v: Float[Tensor, "b h m d"],
    q_tags: Tags,
    k_tags: Tags,
    mask: AttentionMask = ALL,
    positions: Placing | None = None,
    kernel: str = "sdpa",
) -> Float[Tensor, "b h n d"]:
    """softmax(q k / sqrt(d) + bias) v over the keys that `mask` and the keys' `valid` tag allow.

    kernel: "sdpa" or "flex" (FlexAttention); both give the same result. Raises `FrisketError` on another kernel, and on
    tags that a mask reads and the tokens do not carry.
    """
    if kernel not in KERNELS:
        raise unknown("attention kernel", kernel, KERNELS)
    bias = None
    if positions is not None:
        q, k, bias = positions.place(q, k, q_tags, k_tags)
    return KERNELS[kernel](q, k, v, q_tags, k_tags, mask, bias)


def _sdpa(
    q: Tensor, k: Tensor, v: Tensor, q_tags: Tags, k_tags: Tags, mask: AttentionMask, bias: Tensor | None
) -> Tensor:
    bias = None if bias is None else bias.to(q.dtype)
    if bias is not None and bias.ndim == 3:
        bias = bias.unsqueeze(0)  # with fewer axes another, slower kernel is chosen
    if isinstance(mask, All) and k_tags.valid is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=bias)
    low = lower(mask, q_tags, k_tags, len(q), q.device)
    term = low.allowed
    if bias is not None:
        term = bias if term is None else bias.masked_fill(~term, float("-inf"))
    out = scaled_dot_product_attention(q, k, v, attn_mask=term)
    return out if low.empty is None else out.masked_fill(low.empty, 0.0)


def _flex(
    q: Tensor, k: Tensor, v: Tensor, q_tags: Tags, k_tags: Tags, mask: AttentionMask, bias: Tensor | None
) -> Tensor:
    wide = None if bias is None else bias.to(q.dtype).expand(len(q), q.shape[1], q.shape[2], k.shape[2])
    low = Lowered(None)
    if not isinstance(mask, All) or k_tags.valid is not None:
        low = lower_flex(mask, q_tags, k_tags, len(q), q.device)
    score_mod = None if wide is None else lambda score, row, head, query, key: score + wide[row, head, query, key]
    out = flex_kernel(q.device.type)(q, k, v, score_mod=score_mod, block_mask=low.allowed)
    return out if low.empty is None else out.masked_fill(low.empty, 0.0)


KERNELS = {"sdpa": _sdpa, "flex": _flex}


@cache
def flex_kernel(device: str) -> Callable[..., Any]:
    """FlexAttention, compiled where that makes the fused kernel (CUDA); on a CPU it runs uncompiled, in plain torch."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False) if device == "cuda" else flex_attention


def mask_mod(mask: AttentionMask, q_tags: Tags, k_tags: Tags) -> Callable[[Tensor, Any, Tensor, Tensor], Tensor]:
    """`mask` and the keys' validity as a function (row, head, query, key) -> allowed, elementwise."""
    return lambda row, head, query, key: _allowed(mask, q_tags, k_tags, row, query, key)


def _allowed(mask: AttentionMask, q_tags: Tags, k_tags: Tags, row: Tensor, query: Tensor, key: Tensor) -> Tensor:
    k_view = View(k_tags, row, key)
    out = mask.allowed(View(q_tags, row, query), k_view)
    return out if k_tags.valid is None else out & k_view.tag("valid")


def lower(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, device: torch.device) -> Lowered:
    """The mask of b rows for SDPA, (1 | b, 1, n, m), made once per pair of tags."""
    return _remember(("sdpa", mask, b, device), q_tags, k_tags, lambda: _lower(mask, q_tags, k_tags, b, device))


def lower_flex(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, device: torch.device) -> Lowered:
    """The mask of b rows as a `BlockMask`, made once per pair of tags."""
    return _remember(("flex", mask, b, device), q_tags, k_tags, lambda: _lower_flex(mask, q_tags, k_tags, b, device))


def _remember(key: tuple[Any, ...], q_tags: Tags, k_tags: Tags, make: Callable[[], Lowered]) -> Lowered:
    """One entry a key is held with the keys' tags, and only for the queries it was made for: nothing grows."""
    held = k_tags.memo.get(key)
    if held is None or held[0] is not q_tags:
        with torch.inference_mode(False):  # kept for later passes, which may train
            held = k_tags.memo[key] = (q_tags, make())
    return held[1]


def _evaluate(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, queries: Tensor) -> Tensor:
    """The predicate for some queries and all keys: (1 | b, queries, m)."""
    device = queries.device
    row, key = torch.arange(b, device=device)[:, None, None], torch.arange(k_tags.n, device=device)[None]
    out = mask_mod(mask, q_tags, k_tags)(row, None, queries[:, None], key)
    out = out.expand(*out.shape[:-2], len(queries), k_tags.n)
    return out if out.ndim == 3 else out[None]


def _lower(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, device: torch.device) -> Lowered:
    allowed = _evaluate(mask, q_tags, k_tags, b, torch.arange(q_tags.n, device=device)).unsqueeze(1)
    if allowed.is_meta:  # only counted: what it holds is not known, and every kernel costs the same
        return Lowered(allowed)
    if bool(allowed.all()):
        return Lowered(None)
    empty = ~allowed.any(-1, keepdim=True)
    if not bool(empty.any()):
        return Lowered(allowed)
    return Lowered(allowed | empty, empty if mask.empty == "zeros" else None)


def _lower_flex(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, device: torch.device) -> Lowered:
    from torch.nn.attention.flex_attention import create_block_mask

    chunks = torch.arange(q_tags.n, device=device).split(256)  # never the whole mask at once
    empty = torch.cat([~_evaluate(mask, q_tags, k_tags, b, some).any(-1) for some in chunks], 1)  # (1 | b, n)
    mod = mask_mod(mask, q_tags, k_tags)
    rows = empty.expand(b, -1)
    some = bool(empty.any())
    per_row = b if len(empty) > 1 else None
    filled = (lambda row, head, query, key: mod(row, head, query, key) | rows[row, query]) if some else mod
    made = create_block_mask(filled, per_row, None, q_tags.n, k_tags.n, device=str(device))
    return Lowered(made, empty[:, None, :, None] if some and mask.empty == "zeros" else None)

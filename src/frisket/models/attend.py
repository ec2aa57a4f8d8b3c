"""`attend`: the one attention call. It applies positions, lowers the mask and picks the kernel.

Every attention of every backbone ends here, at a site of its own, so a handler may change q, k, v, the mask or the
positions, or answer by itself. Without a mask or a bias it is plain scaled dot-product attention.
Shapes: b batch, h heads, n queries, m keys, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from frisket.core.errors import unknown
from frisket.models.masks.base import All, AttentionMask, DenseView, PointView
from frisket.models.tokens import Tags

ALL = All()


class Placing(Protocol):
    """What a position part does inside attention."""

    def place(
        self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags
    ) -> tuple[Tensor, Tensor, Float[Tensor, "*b h n m"] | None]:
        """q and k as they enter the product, and a bias to add to it, or None."""
        ...


@dataclass(frozen=True, eq=False)
class Lowered:
    """A mask as tensors. allowed: broadcastable to (b, h, n, m), every row has a True. empty: rows (b, 1, n, 1) that may
    look at nobody and whose result is zero; None when there are none."""

    allowed: Bool[Tensor, "#b 1 #n m"] | None
    empty: Bool[Tensor, "#b 1 #n 1"] | None = None


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
    if isinstance(mask, All) and k_tags.valid is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))
    low = lower(mask, q_tags, k_tags, q.device)
    term = low.allowed if bias is None else bias.to(q.dtype).masked_fill(~low.allowed, float("-inf"))  # type: ignore[operator]
    out = scaled_dot_product_attention(q, k, v, attn_mask=term)
    return out if low.empty is None else out.masked_fill(low.empty, 0.0)


def lower(mask: AttentionMask, q_tags: Tags, k_tags: Tags, device: torch.device) -> Lowered:
    """`mask` and the keys' validity as tensors, computed once per pair of tags."""
    held = k_tags.memo.get((mask, device))
    if held is not None and held[0] is q_tags:
        return held[1]
    low = _lower(mask, q_tags, k_tags, device)
    k_tags.memo[(mask, device)] = (q_tags, low)
    return low


def _lower(mask: AttentionMask, q_tags: Tags, k_tags: Tags, device: torch.device) -> Lowered:
    q_view, k_view = DenseView(q_tags, False, device), DenseView(k_tags, True, device)
    allowed = mask.allowed(q_view, k_view)
    if k_tags.valid is not None:
        allowed = allowed & k_view.tag("valid")
    allowed = allowed.unsqueeze(-3) if allowed.ndim == 3 else allowed[None, None]  # (b | 1, 1, n, m)
    empty = ~allowed.any(-1, keepdim=True)
    if not bool(empty.any()):
        return Lowered(allowed)
    return Lowered(allowed | empty, empty if mask.empty == "zeros" else None)


def mask_mod(mask: AttentionMask, q_tags: Tags, k_tags: Tags) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """`mask` and the keys' validity as FlexAttention asks for them: (row, head, query, key) -> allowed."""

    def allowed(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        k_view = PointView(k_tags, row, key)
        out = mask.allowed(PointView(q_tags, row, query), k_view)
        return out if k_tags.valid is None else out & k_view.tag("valid")

    return allowed


def _flex(
    q: Tensor, k: Tensor, v: Tensor, q_tags: Tags, k_tags: Tags, mask: AttentionMask, bias: Tensor | None
) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    blocks = block_mask(mask, q_tags, k_tags, q.shape[0], q.device)
    wide = None if bias is None else bias.to(q.dtype).expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])

    def add(score: Tensor, row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score + wide[row, head, query, key]  # type: ignore[index]

    out = flex_attention(q, k, v, score_mod=None if wide is None else add, block_mask=blocks)
    if blocks is None:
        return out  # type: ignore[return-value]
    low = lower(mask, q_tags, k_tags, q.device)
    if low.empty is None and mask.empty == "zeros":
        return out  # type: ignore[return-value]
    return out


def block_mask(mask: AttentionMask, q_tags: Tags, k_tags: Tags, b: int, device: torch.device):
    """The `BlockMask` of `mask`, computed once per pair of tags; None where everything is allowed."""
    from torch.nn.attention.flex_attention import create_block_mask

    if isinstance(mask, All) and k_tags.valid is None:
        return None
    held = k_tags.memo.get(("flex", mask, b, device))
    if held is not None and held[0] is q_tags:
        return held[1]
    batched = any(value.shape[0] == b and value.ndim > (2 if name == "coords" else 1)
                  for tags in (q_tags, k_tags) for name, value in tags.items().items())  # fmt: skip
    mod = mask_mod(mask, q_tags, k_tags)
    made = create_block_mask(
        mod, b if batched or q_tags.extra or k_tags.extra else None, None, q_tags.n, k_tags.n, device=str(device)
    )
    k_tags.memo[("flex", mask, b, device)] = (q_tags, made)
    return made


KERNELS = {"sdpa": _sdpa, "flex": _flex}

"""Attention branches: among the tokens, to a context, and to both in one softmax.

Facts of the self-attention (packed qkv with bias, scale 1 / sqrt(head width)) as in facebookresearch/DiT models.py, of
the cross-attention as in PixArt (arXiv 2310.00426: queries from the tokens, keys and values from the text).
Shapes: b batch, n tokens, m context tokens, h heads, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.attend import ALL, Placing, attend
from frisket.models.init import linear
from frisket.models.layers.base import BranchCall, Sizes
from frisket.models.layers.norms import Norm
from frisket.models.layers.positions import Positions
from frisket.models.layers.values import Values
from frisket.models.masks.base import AttentionMask
from frisket.models.tokens import Tags, Tokens

Kernel = Literal["sdpa", "flex"]


@register("mixer/attention")
@dataclass(frozen=True, kw_only=True)
class Attention:
    """Self-attention. heads: the backbone's if None. qk_norm: of each head's queries and keys, before positions.
    positions: of this attention alone, in place of the backbone's. values: what they are mixed with (None: nothing)."""

    heads: int | None = None
    mask: AttentionMask = ALL
    qk_norm: Norm | None = None
    qkv_bias: bool = True
    out_bias: bool = True
    kernel: Kernel = "sdpa"
    positions: Positions | None = None
    values: Values | None = None

    def build(self, sizes: Sizes) -> nn.Module:
        return _Attention(self, sizes)


@register("mixer/cross")
@dataclass(frozen=True, kw_only=True)
class Cross:
    """Attention to the context that comes in by the door of condition `reads` (all contexts if None)."""

    reads: str | None = None
    heads: int | None = None
    mask: AttentionMask = ALL
    qk_norm: Norm | None = None
    qkv_bias: bool = True
    out_bias: bool = True
    kernel: Kernel = "sdpa"

    def build(self, sizes: Sizes) -> nn.Module:
        return _Cross(self, sizes)


@register("mixer/joint")
@dataclass(frozen=True, kw_only=True)
class Joint:
    """Self-attention and attention to the context in one softmax: the context adds keys and values of its own, made by
    weights of its own; it is read, not changed."""

    reads: str | None = None
    heads: int | None = None
    mask: AttentionMask = ALL
    qk_norm: Norm | None = None
    qkv_bias: bool = True
    out_bias: bool = True
    kernel: Kernel = "sdpa"

    def build(self, sizes: Sizes) -> nn.Module:
        return _Joint(self, sizes)


class _Heads(nn.Module):
    """Splitting into heads, their norms, and the way back."""

    def __init__(self, config: Attention | Cross | Joint, sizes: Sizes):
        super().__init__()
        self.heads = sizes.heads if config.heads is None else config.heads
        fits = self.heads > 0 and sizes.width % self.heads == 0
        check(fits, "heads", self.heads, f"a divisor of the width {sizes.width}")
        self.mask, self.kernel = config.mask, config.kernel
        head = sizes.width // self.heads
        self.q_norm = config.qk_norm.build(head) if config.qk_norm else None
        self.k_norm = config.qk_norm.build(head) if config.qk_norm else None
        self.out = linear(sizes.width, sizes.width, bias=config.out_bias)

    def split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(b, n, parts * d) -> parts of (b, h, n, d / h)."""
        b, n, _ = x.shape
        cut = x.view(b, n, parts, self.heads, -1).unbind(2)  # before the transpose: the way back then copies once
        return tuple(part.transpose(1, 2) for part in cut)

    def queries(self, q: Tensor) -> Tensor:
        return q if self.q_norm is None else self.q_norm(q)

    def keys(self, k: Tensor) -> Tensor:
        return k if self.k_norm is None else self.k_norm(k)

    def call(
        self, q: Tensor, k: Tensor, v: Tensor, q_tags: Tags, k_tags: Tags, call: BranchCall, positions: Placing | None
    ) -> Tensor:
        """Attend at the branch's site and join the heads."""
        out = call.at(call.attend_site, attend, q, k, v, q_tags, k_tags, self.mask, positions, self.kernel)
        return self.out(out.transpose(1, 2).flatten(2))


class _Attention(nn.Module):
    attends = True

    def __init__(self, config: Attention, sizes: Sizes):
        super().__init__()
        self.qkv = linear(sizes.width, 3 * sizes.width, bias=config.qkv_bias)
        self.inner = _Heads(config, sizes)
        own = replace(sizes, heads=self.inner.heads)
        self.positions = config.positions.build(own) if config.positions is not None else None
        self.values = config.values.build() if config.values is not None else None

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        inner = self.inner
        placing = call.positions if self.positions is None else self.positions.placing
        q, k, v = inner.split(self.qkv(tokens.h), 3)
        if self.values is not None:
            v = self.values(v, tokens.tags, call.side)
        return inner.call(inner.queries(q), inner.keys(k), v, tokens.tags, tokens.tags, call, placing)  # type: ignore[arg-type]


class _Cross(nn.Module):
    attends = True

    def __init__(self, config: Cross, sizes: Sizes):
        super().__init__()
        self.reads = config.reads
        self.q = linear(sizes.width, sizes.width, bias=config.qkv_bias)
        self.kv = linear(sizes.width, 2 * sizes.width, bias=config.qkv_bias)
        self.inner = _Heads(config, sizes)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        inner, context = self.inner, call.side.read(self.reads)
        (q,) = inner.split(self.q(tokens.h), 1)
        k, v = inner.split(self.kv(context.h), 2)
        return inner.call(inner.queries(q), inner.keys(k), v, tokens.tags, context.tags, call, None)


class _Joint(nn.Module):
    attends = True

    def __init__(self, config: Joint, sizes: Sizes):
        super().__init__()
        self.reads = config.reads
        self.qkv = linear(sizes.width, 3 * sizes.width, bias=config.qkv_bias)
        self.context = linear(sizes.width, 2 * sizes.width, bias=config.qkv_bias)
        self.inner = _Heads(config, sizes)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        inner, context = self.inner, call.side.read(self.reads)
        q, k, v = inner.split(self.qkv(tokens.h), 3)
        more_k, more_v = inner.split(self.context(context.h), 2)
        k, v = torch.cat([k, more_k], 2), torch.cat([v, more_v], 2)
        keys = call.side.joined(tokens, context)
        return inner.call(inner.queries(q), inner.keys(k), v, tokens.tags, keys, call, call.positions)

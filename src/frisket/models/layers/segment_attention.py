"""Attention of scenes and their prompts in one sequence: a prompt and its own scene, and all scenes among each other.

Mask^2DiT (arXiv 2503.19881; facts from Tianhao-Qi/Mask2DiT cogvideox_transformer3d.py, "attention mask version 2"). The
result is that of full attention under `Segments() | Streams(pairs=((0, 0),))`, without building that mask: scenes are
folded into the batch, queries of a prompt meet the keys of the prompt and its scene, queries of a scene those of its
prompt and of all scenes. With s scenes of v tokens and prompts of p that is s (p (p + v) + v (p + s v)) pairs in place
of (s (p + v))^2. Needs all tokens of the state in raster order, and the prompts behind them in the scenes' order.
Shapes: b batch, h heads, n tokens of the state, m of all prompts, s scenes, d width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.attend import attend
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Sizes
from frisket.models.masks.base import All
from frisket.models.segments import runs
from frisket.models.tokens import Tags, Tokens

CITE = "Qi et al. Mask^2DiT: Dual Mask-based Diffusion Transformer for Multi-Scene Long Video Generation. 2025. arXiv:2503.19881"  # noqa: E501


@register("mixer/segments", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class SegmentAttention:
    """`attention` among `count` scenes and their prompts. Without prompts it is `attention` itself."""

    attention: Attention = Attention()
    count: int = 3

    def __post_init__(self):
        check(self.count >= 1, "mixer.count", self.count, "at least 1")
        plain = isinstance(self.attention.mask, All)
        check(plain, "mixer.attention.mask", type(self.attention.mask).__name__, "none: this mixer is a mask itself")

    def build(self, sizes: Sizes) -> nn.Module:
        return _Segments(self, sizes)


class _Segments(nn.Module):
    attends = True
    places = ("prompts",)

    def __init__(self, config: SegmentAttention, sizes: Sizes):
        super().__init__()
        self.count = config.count
        self.attention: Any = config.attention.build(sizes)  # a built `Attention`

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        n, own = call.side.state, self.attention
        inner = own.inner
        if tokens.tags.n == n and tokens.tags.extent is not None:
            return own(tokens, call)
        _check_layout(tokens.tags, n, self.count)
        q, k, v = inner.split(own.qkv(tokens.h), 3)
        q, k = inner.queries(q), inner.keys(k)
        placing = call.positions if own.positions is None else own.positions.placing
        if placing is not None:
            q, k, bias = placing.place(q, k, tokens.tags, tokens.tags)
            if bias is not None:
                raise FrisketError("attention by segments takes positions that turn or are added, no bias")
        told = self._attend(call, call.inside("prompts"), q[:, :, n:], self._own(k, n), self._own(v, n))
        seen = self._attend(call, call.attend_site, q[:, :, :n], self._all(k, n), self._all(v, n))
        return inner.out(torch.cat([seen, told], 2).transpose(1, 2).flatten(2))

    def _attend(self, call: BranchCall, site: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (b, h, s l, d) of all scenes, keys of each (b s, h, m, d)."""
        s, mine = self.count, self.fold(q)
        tags = Tags(n=mine.shape[2]), Tags(n=k.shape[2])
        inner = self.attention.inner
        out = call.at(site, attend, mine, k, v, *tags, inner.mask, None, inner.kernel)
        return out.unflatten(0, (-1, s)).transpose(1, 2).flatten(2, 3)

    def fold(self, x: Float[Tensor, "b h n d"]) -> Float[Tensor, "f h l d"]:
        """Scenes into the batch, the batch outermost."""
        return x.unflatten(2, (self.count, -1)).transpose(1, 2).flatten(0, 1)

    def _own(self, x: Tensor, n: int) -> Tensor:
        """Of each scene: its prompt and itself."""
        return torch.cat([self.fold(x[:, :, n:]), self.fold(x[:, :, :n])], 2)

    def _all(self, x: Tensor, n: int) -> Tensor:
        """Of each scene: its prompt and all scenes."""
        return torch.cat([self.fold(x[:, :, n:]), x[:, :, :n].repeat_interleave(self.count, 0)], 2)


def _check_layout(tags: Tags, n: int, count: int) -> None:
    """Raise `FrisketError` unless the tokens are `count` equal scenes, then as many equal prompts."""
    m, why = tags.n - n, ""
    if m < count or n % count or m % count:
        why = f"{n} tokens of the state and {m} behind them, not {count} equal parts of each"
    elif tags.valid is not None:
        why = "padding among them"
    elif tags.segment is None:
        why = "no segments (use input/segmented and embedder/prompts)"
    elif not tags.segment.is_meta and "segments" not in tags.memo:
        wanted = torch.cat([runs(n, count), runs(m, count)]).to(tags.segment.device)
        if not bool((tags.segment == wanted).all()):
            why = "them in another order, or some left out"
        else:
            tags.memo["segments"] = True
    if why:
        raise FrisketError(f"attention by segments needs {count} scenes and their prompts in order; it is given {why}")

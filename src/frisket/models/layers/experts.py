"""A mixture of experts as a feed-forward branch: each token passes the few that its router chooses, and what all share.

DiT-MoE (arXiv 2407.11633; facts from feizc/DiT-MoE models.py): y = sum over the chosen of gate * expert(x) + shared(x),
any feed-forward part as an expert. Computing is sparse: tokens are sorted by expert, each expert sees its own tokens
only, and nothing else is multiplied. Without a `capacity`, which the paper has none of, every choice is computed. With
one, an expert takes the best-scored tokens of each sample; what is beyond is counted in `Output.aux["overflow"]`, and
such a token keeps its other experts, the shared part and its residual.
Shapes: b batch, n tokens, d width, e experts, k chosen, r choices of all tokens (b n k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.layers.base import BranchCall, Mixer, Sizes
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.routers import Balance, BatchBalance, Routed, Router, Softmax
from frisket.models.tokens import Tokens


@register(
    "ffn/experts", cite="Fei et al. Scaling Diffusion Transformers to 16 Billion Parameters. 2024. arXiv:2407.11633"
)
@dataclass(frozen=True, kw_only=True)
class Experts:
    """experts: how many there are. active: how many each token passes. expert: what one is. shared: what every token
    passes besides. router: who goes where; what it says is a site (`route`). balance: what keeps the load even, a loss
    term "balance" while training. capacity: the most choices of a sample that an expert takes, over the even share
    active * n / experts; None: all of them."""

    experts: int = 8
    active: int = 2
    expert: Mixer = SwiGLU(ratio=4.0)
    shared: Mixer | None = SwiGLU(ratio=2.0)
    router: Router = Softmax()
    balance: Balance | None = BatchBalance()
    capacity: float | None = None

    def __post_init__(self):
        check(self.experts >= 1, "ffn.experts", self.experts, "1 or more")
        check(1 <= self.active <= self.experts, "ffn.active", self.active, f"in 1..{self.experts}")
        check(self.capacity is None or self.capacity > 0, "ffn.capacity", self.capacity, "positive, or None")

    def build(self, sizes: Sizes) -> nn.Module:
        return _Experts(self, sizes)


class _Experts(nn.Module):
    places = ("route",)

    def __init__(self, config: Experts, sizes: Sizes):
        super().__init__()
        self.config = config
        self.router = config.router.build(sizes.width, config.experts, config.active)
        self.experts = nn.ModuleList(config.expert.build(sizes) for _ in range(config.experts))
        self.shared = config.shared.build(sizes) if config.shared is not None else None

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        config, h = self.config, tokens.h
        routed: Routed = call.at(call.inside("route"), self.router, h)
        if config.balance is not None and self.training:
            valid = tokens.tags.batched("valid", len(h), h.device)
            call.side.lose("balance", config.balance.loss(routed, valid))
        ids, gates = routed.ids, routed.gates
        if config.capacity is not None:
            most = math.ceil(config.capacity * ids.shape[1] * ids.shape[2] / config.experts)
            left = overflow(routed, most)
            call.side.note("overflow", left.sum((1, 2)).to(h.dtype))
            ids = ids.masked_fill(left, config.experts)  # one expert more, which nobody computes
        out = (self._each(h, ids, call) * gates.unsqueeze(-1)).sum(2)
        return out if self.shared is None else out + self.shared(tokens, _silent(call))

    def _each(self, h: Float[Tensor, "b n d"], ids: Int[Tensor, "b n k"], call: BranchCall) -> Float[Tensor, "b n k d"]:
        """What each chosen expert gives for each token, before its gate; zeros for choices left out."""
        order = ids.flatten().argsort(stable=True)
        counts = _counts(ids, len(self.experts))
        sorted_h = h.flatten(0, 1)[order // ids.shape[2]]
        parts = sorted_h.split([*counts, len(order) - sum(counts)])
        inner = _silent(call)
        out = [expert(Tokens.of(x[None]), inner)[0] for expert, x in zip(self.experts, parts, strict=False)]
        out.append(torch.zeros_like(parts[-1]))  # the choices left out
        back = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))
        return torch.cat([part.to(h.dtype) for part in out])[back].view(*ids.shape, -1)


def overflow(routed: Routed, most: int) -> Bool[Tensor, "b n k"]:
    """The choices that an expert does not take: those beyond its `most` best-scored tokens of a sample, of equal scores
    the later ones. A row's own, so that a batch changes nothing."""
    if routed.ids.is_meta:  # only counted: an upper bound
        return torch.zeros_like(routed.ids, dtype=torch.bool)
    ids, scores = routed.ids.flatten(1), routed.scores.gather(-1, routed.ids).flatten(1)
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = torch.nn.functional.one_hot(ids.gather(1, order), routed.scores.shape[-1])  # (b, n k, e)
    rank = (ranked.cumsum(1) * ranked).sum(-1)  # from 1, within the expert
    return torch.empty_like(rank).scatter(1, order, rank).gt(most).view_as(routed.ids)


def _counts(ids: Int[Tensor, "b n k"], experts: int) -> list[int]:
    """How many choices each expert has. On meta, where nobody knows, as even as can be: the work is the same."""
    if ids.is_meta:
        each, more = divmod(ids.numel(), experts)
        return [each + (i < more) for i in range(experts)]
    return torch.bincount(ids.flatten(), minlength=experts)[:experts].tolist()


def _silent(call: BranchCall) -> BranchCall:
    """The call without inner sites: an expert sees tokens of many rows, which no handler could place."""
    return BranchCall(call.side, call.at, "", call.positions)

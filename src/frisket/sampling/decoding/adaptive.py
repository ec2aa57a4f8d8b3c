"""Selects that follow what the model says: an entropy budget, and a filter that keeps a distance.

Entropy budget: EB-sampler, arXiv 2505.24857. Spacing as a filter behind any adaptive select: DUS, arXiv 2506.19037,
section 4.4; both rules read in omerlux/DUS generate.py for facts.
Shapes: r rows, n tokens, k vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.sampling.decoding.dilated import CITE_DUS
from frisket.sampling.decoding.orders import Proposed
from frisket.sampling.decoding.selects import Hidden, Select, Threshold

CITE_EB = (
    "Ben-Hamu et al. Accelerated Sampling from Masked Diffusion Models via Entropy Bounded Unmasking. 2025. "
    "arXiv:2505.24857"
)


@register("select/entropy-bound", cite=CITE_EB)
@dataclass(frozen=True, kw_only=True)
class EntropyBound:
    """The best-scored while the sum of their entropies, less the largest of them, is at most `gamma` bits; always one.
    Meant for `order/entropy`: the sum less the largest bounds what independent draws lose."""

    reconsiders: ClassVar[bool] = True

    gamma: float = 1.0

    def __post_init__(self):
        check(self.gamma >= 0, "select.gamma", self.gamma, "0 bits or more")

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return hidden.now.any(1)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        bits = torch.special.entr(proposed.log_p.exp()).sum(-1) / math.log(2)
        order = scores.argsort(dim=1, descending=True, stable=True)
        ranked = bits.gather(1, order)
        within = ranked.cumsum(1) - ranked.cummax(1).values <= self.gamma
        prefix = within.to(torch.int64).cumprod(1).bool()
        return hidden.now & torch.zeros_like(hidden.now).scatter(1, order, prefix)


@register("select/spaced", cite=CITE_DUS)
@dataclass(frozen=True, kw_only=True)
class Spaced:
    """What another select chose, best-scored first, each only if it is far enough from all taken before; the others
    wait. The distance is floor(start x hidden / block), at least `least`, with the hidden places of the best one's
    block: wide at first, narrower as the block fills."""

    of: Select = field(default_factory=Threshold)
    block: int = 32
    start: float = 8.0
    least: int = 2

    def __post_init__(self):
        check(self.block >= 1, "select.block", self.block, "at least 1")
        check(self.start >= 0, "select.start", self.start, "0 or more")
        check(self.least >= 1, "select.least", self.least, "at least 1")

    @property
    def reconsiders(self) -> bool:  # type: ignore[override]
        return self.of.reconsiders

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return self.of.active(hidden)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        chosen = self.of.choose(hidden, scores, proposed)
        blocks = torch.arange(scores.shape[1], device=scores.device) // self.block
        own = scores.argmax(1, keepdim=True) // self.block
        left = (hidden.now & (blocks == own)).sum(1)
        gap = (left * self.start / self.block).floor().to(torch.int64).clamp(min=self.least)
        return spaced(chosen, scores, gap)


def spaced(
    chosen: Bool[Tensor, "r n"], scores: Float[Tensor, "r n"], gap: Int[Tensor, "r"]
) -> Bool[Tensor, "r n"]:  # fmt: skip
    """Those of `chosen`, taken by falling score, that lie at least `gap` from all that were taken before."""
    taken = torch.zeros_like(chosen)
    place = torch.arange(scores.shape[1], device=scores.device)
    order = scores.masked_fill(~chosen, -torch.inf).argsort(dim=1, descending=True, stable=True)
    for rank in range(int(chosen.sum(1).max()) if len(chosen) else 0):
        here = order[:, rank : rank + 1]
        near = (place - here).abs() < gap[:, None]
        free = chosen.gather(1, here) & ~(taken & near).any(1, keepdim=True)
        taken = taken.scatter(1, here, free)
    return taken

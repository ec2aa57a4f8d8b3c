"""Proposals: an id for every hidden place from the log probabilities, and how sure the model is of it.

Sources: nucleus (top-p) sampling arXiv 1904.09751; why Gumbel noise needs float64: arXiv 2409.02908 (in float32 its
tail is cut, which lowers the temperature). Sums and cumulative sums here are float64.
Shapes: r rows, n tokens, k vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step


class Proposal(Protocol):
    """A registered value ("proposal/...")."""

    def propose(self, logits: Float[Tensor, "r n k"], step: Step) -> Int[Tensor, "r n"]: ...


def sharpen(logits: Float[Tensor, "r n k"], temperature: float, top_p: float) -> Float[Tensor, "r n k"]:
    """Float64 log probabilities at a temperature, cut to the smallest set of ids whose probabilities reach top_p."""
    log_p = torch.log_softmax(logits.to(torch.float64) / temperature, dim=-1)
    if top_p >= 1.0:
        return log_p
    sorted_p, order = log_p.exp().sort(dim=-1, descending=True, stable=True)
    outside = sorted_p.cumsum(-1) - sorted_p >= top_p
    drop = torch.zeros_like(outside).scatter(-1, order, outside)
    return torch.log_softmax(log_p.masked_fill(drop, -torch.inf), dim=-1)


def _check(temperature: float, top_p: float) -> None:
    check(temperature > 0, "proposal.temperature", temperature, "positive (proposal/greedy takes the most probable id)")
    check(0 < top_p <= 1, "proposal.top_p", top_p, "above 0 and at most 1")


@register("proposal/categorical")
@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Inverse of the cumulative distribution: one uniform number a token, whatever the vocabulary."""

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self):
        _check(self.temperature, self.top_p)

    def propose(self, logits: Float[Tensor, "r n k"], step: Step) -> Int[Tensor, "r n"]:
        p = sharpen(logits, self.temperature, self.top_p).exp()
        u = step.draw("decoder/proposal", (logits.shape[1],), "uniform")
        total = p.cumsum(-1)
        ids = torch.searchsorted(total, (u * total[..., -1])[..., None], right=True)[..., 0]
        last = p.shape[-1] - 1 - (p > 0).flip(-1).to(torch.uint8).argmax(-1)  # rounding may not pass the last possible
        return torch.minimum(ids, last)


@register("proposal/gumbel")
@dataclass(frozen=True, kw_only=True)
class Gumbel:
    """Argmax of log probability + float64 Gumbel noise: the same law, k numbers a token; a small change of the model
    changes few ids."""

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self):
        _check(self.temperature, self.top_p)

    def propose(self, logits: Float[Tensor, "r n k"], step: Step) -> Int[Tensor, "r n"]:
        u = step.draw("decoder/proposal", tuple(logits.shape[1:]), "uniform")
        return (sharpen(logits, self.temperature, self.top_p) - torch.log(-torch.log(u))).argmax(-1)


@register("proposal/greedy")
@dataclass(frozen=True, kw_only=True)
class Greedy:
    """The most probable id; the lowest of equals."""

    def propose(self, logits: Float[Tensor, "r n k"], step: Step) -> Int[Tensor, "r n"]:
        return logits.argmax(-1)

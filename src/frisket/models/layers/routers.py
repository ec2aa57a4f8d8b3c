"""Routers of experts: which experts a token goes to and with what weight; and what keeps their load even.

Softmax over all experts, the largest k kept (facts from feizc/DiT-MoE models.py: a matrix without bias, weights of the
chosen as the softmax gives them, so they sum to less than one). `Renormalised` divides them by their sum, as Mixtral
does. The balance losses are those of the Switch Transformer (arXiv 2101.03961) over k choices; `weight` is their value
where scores and load are uniform.
Shapes: b batch, n tokens, d width, e experts, k chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import Uniform, linear


@dataclass(frozen=True, eq=False)
class Routed:
    """Where tokens go. scores: of all experts, summing to one. ids, gates: of the chosen, any order."""

    scores: Float[Tensor, "b n e"]
    ids: Int[Tensor, "b n k"]
    gates: Float[Tensor, "b n k"]


@runtime_checkable
class Router(Protocol):
    """A registered value ("router/..."). Its module is called with features (b, n, d) and gives a `Routed`."""

    def build(self, width: int, experts: int, active: int) -> nn.Module: ...


@runtime_checkable
class Balance(Protocol):
    """A registered value ("balance/...")."""

    def loss(self, routed: Routed, valid: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
        """A scalar, weighted; small where the load is even. valid: tokens that count."""
        ...


@register("router/softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Gates are the softmax over all experts, of those chosen."""

    def build(self, width: int, experts: int, active: int) -> nn.Module:
        return _Top(width, experts, active)


@register("router/renormalised")
@dataclass(frozen=True, kw_only=True)
class Renormalised:
    """Gates of the chosen sum to one: equal experts then act as one dense layer."""

    def build(self, width: int, experts: int, active: int) -> nn.Module:
        return _Shares(width, experts, active)


@register("balance/batch", cite="Fedus, Zoph, Shazeer. Switch Transformers. 2021. arXiv:2101.03961")
@dataclass(frozen=True, kw_only=True)
class BatchBalance:
    """weight * e * sum over experts of (mean score) * (share of the choices), over all tokens of the micro-batch: that
    is no mean over samples, so cutting a batch into pieces changes it."""

    weight: float = 0.01

    def __post_init__(self):
        check(self.weight >= 0, "balance.weight", self.weight, "0 or more")

    def loss(self, routed: Routed, valid: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
        return self.weight * _uneven(*(part.flatten(0, 1)[None] for part in _parts(routed, valid)))[0]


@register("balance/sample", cite="DeepSeek-AI. DeepSeek-V2. 2024. arXiv:2405.04434")
@dataclass(frozen=True, kw_only=True)
class SampleBalance:
    """The same within each sample, then the mean over samples: micro-batches change nothing, but a sample whose tokens
    are alike is urged to part them."""

    weight: float = 0.01

    def __post_init__(self):
        check(self.weight >= 0, "balance.weight", self.weight, "0 or more")

    def loss(self, routed: Routed, valid: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
        return self.weight * _uneven(*_parts(routed, valid)).mean()


class _Top(nn.Module):
    def __init__(self, width: int, experts: int, active: int):
        super().__init__()
        self.active = active
        self.linear = linear(width, experts, bias=False, law=Uniform(width**-0.5))

    def forward(self, h: Float[Tensor, "b n d"]) -> Routed:
        scores = self.linear(h).softmax(-1)
        gates, ids = scores.topk(self.active, dim=-1)
        return Routed(scores, ids, gates)


class _Shares(nn.Module):
    def __init__(self, width: int, experts: int, active: int):
        super().__init__()
        self.top = _Top(width, experts, active)

    def forward(self, h: Float[Tensor, "b n d"]) -> Routed:
        routed = self.top(h)
        return Routed(routed.scores, routed.ids, routed.gates / routed.gates.sum(-1, keepdim=True))


def _parts(routed: Routed, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (b, n, e), choices (b, n, e) and who counts (b, n, 1), all float."""
    chosen = functional.one_hot(routed.ids, routed.scores.shape[-1]).sum(2)
    count = valid.unsqueeze(-1).to(routed.scores.dtype)
    return routed.scores * count, chosen * count, count


def _uneven(scores: Float[Tensor, "r n e"], chosen: Float[Tensor, "r n e"], count: Tensor) -> Float[Tensor, "r"]:
    """1 where both are uniform, up to e where one expert has everything."""
    mean = scores.sum(1) / count.sum(1).clamp(min=1)
    share = chosen.sum(1) / chosen.sum((1, 2)).clamp(min=1).unsqueeze(-1)
    return scores.shape[-1] * (mean * share).sum(-1)

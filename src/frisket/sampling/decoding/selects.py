"""Selects: how many places a move reveals, and with the scores of the order, which.

Sources: budget from a schedule arXiv 2202.04200 (MaskGIT); confidence threshold arXiv 2505.22618; independent reveals
are the exact reverse step of masked diffusion, arXiv 2406.07524 and 2406.04329. Every row has a budget of its own.
Shapes: r rows, n tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.sampling.decoding.orders import Proposed

CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"
CITE_MASKBIT = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"
CITE_THRESHOLD = (
    "Wu et al. Fast-dLLM: Training-free Acceleration of Diffusion LLM by Enabling KV Cache and "
    "Parallel Decoding. 2025. arXiv:2505.22618"
)
CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Where the rows stand. now: what is hidden, after some was hidden again. first: how many tokens a row has to
    reveal in the whole run. share_t, share_s: the process's hidden share before and after the move. rate: the chance
    that a visible token was hidden again in this move. t, s: times. step: of these rows."""

    now: Bool[Tensor, "r n"]
    first: Float[Tensor, "r"]
    share_t: Float[Tensor, "r"]
    share_s: Float[Tensor, "r"]
    rate: Float[Tensor, "r"]
    s: Float[Tensor, "r"]
    step: Step

    def rows(self, index: Tensor) -> Hidden:
        return Hidden(
            now=self.now[index], first=self.first[index], share_t=self.share_t[index], share_s=self.share_s[index],
            rate=self.rate[index], s=self.s[index], step=self.step.rows(index),
        )  # fmt: skip


class Select(Protocol):
    """A registered value ("select/..."). The decoder reveals everything at s = 0 by itself. reconsiders: what the
    commit hid again in this move may be revealed in it (with another id)."""

    reconsiders: ClassVar[bool]

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        """Which rows reveal anything in this move; the others need no forward."""
        ...

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        """What is revealed. scores: -inf where not hidden. proposed: what the orders saw."""
        ...


def top(scores: Float[Tensor, "r n"], count: Tensor) -> Bool[Tensor, "r n"]:
    """The `count` (r,) highest scores of each row; the first of equals."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(scores.shape[1], device=scores.device).expand_as(order)
    )
    return rank < count[:, None]


class Curve(Protocol):
    """A registered value ("curve/..."): the share still hidden at time s, 1 at 1 and 0 at 0."""

    def share(self, s: Float[Tensor, "r"]) -> Float[Tensor, "r"]: ...


@register("curve/cosine")
@dataclass(frozen=True, kw_only=True)
class CosineCurve:
    """cos(pi/2 (1 - s)): few at first, many at the end."""

    def share(self, s: Float[Tensor, "r"]) -> Float[Tensor, "r"]:
        return torch.cos(math.pi / 2 * (1 - s))


@register("curve/arccos", cite=CITE_MASKBIT)
@dataclass(frozen=True, kw_only=True)
class ArccosCurve:
    """arccos(1 - s) / (pi/2): even moves for long, many at the very end (MaskBit)."""

    def share(self, s: Float[Tensor, "r"]) -> Float[Tensor, "r"]:
        return torch.acos((1 - s).clamp(0, 1)) / (math.pi / 2)


@register("curve/power")
@dataclass(frozen=True, kw_only=True)
class PowerCurve:
    """1 - (1 - s)^power; 1 is an equal number a move."""

    power: float = 1.0

    def __post_init__(self):
        check(self.power > 0, "curve.power", self.power, "positive")

    def share(self, s: Float[Tensor, "r"]) -> Float[Tensor, "r"]:
        return 1 - (1 - s) ** self.power


@register("select/budget", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Budget:
    """The best-scored ones, so many that floor(first x share(s)) stay hidden. curve: share(s); None takes the process's
    own hidden share. least: revealed in every move while anything is hidden. A budget of nothing makes no forward.

    MaskGIT's released decoder reveals at least one in a move and keeps at least one for the last: `least=1, kept=1`."""

    reconsiders: ClassVar[bool] = True

    curve: Curve | None = None
    least: int = 0
    kept: int = 0

    def __post_init__(self):
        check(self.least >= 0, "select.least", self.least, "0 or more")
        check(self.kept >= 0, "select.kept", self.kept, "0 or more")

    def count(self, hidden: Hidden) -> Int[Tensor, "r"]:
        """How many each row reveals."""
        share = hidden.share_s if self.curve is None else self.curve.share(hidden.s.to(torch.float64))
        stay = torch.floor(hidden.first * share + 1e-9)  # a product that is a whole number must not fall below it
        now = hidden.now.sum(1)
        stay = torch.minimum(stay, (now - self.least).to(stay.dtype)).clamp(min=self.kept)
        return (now - stay).clamp(min=0).to(torch.int64)

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return self.count(hidden) > 0

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        return top(scores, self.count(hidden)) & hidden.now


@register("select/threshold", cite=CITE_THRESHOLD)
@dataclass(frozen=True, kw_only=True)
class Threshold:
    """All whose proposed id has at least this probability, and always the `least` best-scored. It may finish before the
    grid does; what is left at s = 0 is revealed then."""

    reconsiders: ClassVar[bool] = True

    threshold: float = 0.9
    least: int = 1

    def __post_init__(self):
        check(0 <= self.threshold <= 1, "select.threshold", self.threshold, "between 0 and 1")
        check(self.least >= 1, "select.least", self.least, "at least 1, or nothing might ever be revealed")

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return hidden.now.any(1)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        forced = top(scores, torch.full_like(hidden.first, self.least).to(torch.int64))
        return hidden.now & ((proposed.confidence().exp() >= self.threshold) | forced)


@register("select/bernoulli", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """Each hidden token by itself with the chance of the exact reverse step, (alpha_s - (1 - rate) alpha_t) /
    (1 - alpha_t) with alpha = 1 - share. It looks at no score, so a row in which nothing falls makes no forward."""

    reconsiders: ClassVar[bool] = False

    def _chosen(self, hidden: Hidden) -> Tensor:
        visible_s, visible_t = 1 - hidden.share_s, 1 - hidden.share_t
        chance = (visible_s - (1 - hidden.rate) * visible_t) / hidden.share_t.clamp(min=1e-12)
        u = hidden.step.draw("decoder/select", (hidden.now.shape[1],), "uniform")
        return hidden.now & (u < chance[:, None])

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return self._chosen(hidden).any(1)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        return self._chosen(hidden)

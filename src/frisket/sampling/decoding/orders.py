"""Orders: which hidden place is revealed first, as a sum of scores (higher is earlier).

Sources: confidence with annealed Gumbel noise arXiv 2202.04200 (MaskGIT); margin arXiv 2502.06768; entropy arXiv
2508.15487. Places that are not hidden are left out by the decoder (-inf). Shapes: r rows, n tokens, k vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step

CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"
CITE_MARGIN = (
    "Kim et al. Train for the Worst, Plan for the Best: Understanding Token Ordering in Masked "
    "Diffusions. 2025. arXiv:2502.06768"
)
CITE_DREAM = "Ye et al. Dream 7B: Diffusion Large Language Models. 2025. arXiv:2508.15487"


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What an order or a select may look at. log_p: normalised log probabilities of the model, before any temperature
    (r, n, k). ids: the proposal (r, n). hidden: what is hidden now (r, n). s: the time after the move, (r,). step: of
    these rows. model: the one being sampled, for orders that have learned something and keep it there."""

    log_p: Float[Tensor, "r n k"]
    ids: Int[Tensor, "r n"]
    hidden: Bool[Tensor, "r n"]
    s: Float[Tensor, "r"]
    step: Step
    model: Any = None

    def confidence(self) -> Float[Tensor, "r n"]:
        """Log probability of the proposed id."""
        return self.log_p.gather(-1, self.ids[..., None])[..., 0]


class Order(Protocol):
    """A registered value ("order/...")."""

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]: ...


@register("order/random")
@dataclass(frozen=True, kw_only=True)
class Random:
    """scale x s^anneal x Gumbel noise. Alone it is a uniformly random order; beside confidence it softens it, and
    anneal 1 lets that end with the time."""

    scale: float = 1.0
    anneal: float = 0.0

    def __post_init__(self):
        check(self.scale > 0, "order.scale", self.scale, "positive")

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        u = proposed.step.draw("decoder/order", (proposed.ids.shape[1],), "uniform")
        return self.scale * proposed.s.to(u.dtype)[:, None] ** self.anneal * -torch.log(-torch.log(u))


@register("order/confidence", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Log probability of the proposed id."""

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        return proposed.confidence()


@register("order/margin", cite=CITE_MARGIN)
@dataclass(frozen=True, kw_only=True)
class Margin:
    """Probability of the best id less that of the second best."""

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        best = proposed.log_p.exp().topk(2, dim=-1).values
        return best[..., 0] - best[..., 1]


@register("order/entropy", cite=CITE_DREAM)
@dataclass(frozen=True, kw_only=True)
class Entropy:
    """The negative entropy: the surest distribution first."""

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        return -torch.special.entr(proposed.log_p.exp()).sum(-1)


@register("order/raster")
@dataclass(frozen=True, kw_only=True)
class Raster:
    """Left to right in blocks of `block` tokens: 1 is the autoregressive order; a larger block goes before every other
    score within it. The step between blocks is wider than any other score."""

    block: int = 1

    def __post_init__(self):
        check(self.block >= 1, "order.block", self.block, "at least 1")

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        r, n = proposed.ids.shape
        place = torch.arange(n, device=proposed.ids.device) // self.block
        return -1e6 * place.to(proposed.log_p.dtype).expand(r, n)

"""How far apart two sets of features are, one number a sample.

Cosine and smooth L1, as vvvvvjdy/SRA SiT-SRA/loss.py has them (read for facts). Its cosine runs over the token axis,
channel by channel, since that is the default axis of the function it calls; REPA's (sihyun-yu/REPA loss.py) runs over
channels, token by token. Both are at hand.
Shapes: b batch, n tokens, d features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register


class Distance(Protocol):
    """A registered value ("distance/...")."""

    def between(self, a: Float[Tensor, "b n d"], b: Float[Tensor, "b n d"]) -> Float[Tensor, "b"]: ...


@register("distance/cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """1 - cosine, in [0, 2]: of each token over its channels, or of each channel over the tokens; then the mean."""

    over: Literal["channels", "tokens"] = "channels"

    def between(self, a: Float[Tensor, "b n d"], b: Float[Tensor, "b n d"]) -> Float[Tensor, "b"]:
        axis = -1 if self.over == "channels" else 1
        return 1 - functional.cosine_similarity(a.float(), b.float(), dim=axis).mean(1)


@register("distance/smooth-l1")
@dataclass(frozen=True, kw_only=True)
class SmoothL1:
    """Mean over elements of |a - b| - beta / 2, or its square over 2 beta where it is below beta."""

    beta: float = 0.05

    def __post_init__(self):
        check(self.beta > 0, "distance.beta", self.beta, "positive")

    def between(self, a: Float[Tensor, "b n d"], b: Float[Tensor, "b n d"]) -> Float[Tensor, "b"]:
        each = functional.smooth_l1_loss(a.float(), b.float(), beta=self.beta, reduction="none")
        return each.flatten(1).mean(1)

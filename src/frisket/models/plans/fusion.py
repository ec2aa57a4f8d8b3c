"""Returns that fill the gaps with one vector: a mask token alone, or fused with the features in front of the span.

Fusion is SPRINT's (arXiv 2510.21986; facts from snap-research/Sprint src/models/sit.py): tokens that did not pass, or
all tokens of a sample that skipped the span, become the mask token, then one linear layer reads each token beside what
it was in front of the span. It runs in dense passes too. The released code never trains its mask token; `token` says
which it is.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.registry import register
from frisket.models.init import Normal, linear, parameter
from frisket.models.layers.base import Sizes
from frisket.models.plans.base import Choose, Draws, Span, SpanEnd
from frisket.models.plans.choose import Cells, Skip

CITE = (
    "Park, Haji-Ali, Li, Menapace, Tulyakov, Kim, Siarohin, Kag. SPRINT: Sparse-Dense Residual Fusion for Efficient "
    "Diffusion Transformers. 2025. arXiv:2510.21986"
)
Token = Literal["learned", "fixed"]
Order = Literal["span first", "dense first"]


@register("return/mask_token")
@dataclass(frozen=True, kw_only=True)
class MaskToken:
    """One vector where no token passed. token: "learned", or "fixed" at its random start."""

    token: Token = "learned"
    std: float = 0.02

    def build(self, sizes: Sizes) -> nn.Module:
        return _MaskToken(self, sizes.width)


@register("return/fusion", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Fusion:
    """linear([what came out, else a mask token; what stood in front]). order: of the two; SR-DiT (arXiv 2512.12386) has
    "dense first". std: of the mask token's start, 0 for zeros."""

    token: Token = "fixed"
    std: float = 0.02
    order: Order = "span first"

    def build(self, sizes: Sizes) -> nn.Module:
        return _Fusion(self, sizes.width)


@register("plan/fusion", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Fused(Draws):
    """Some blocks see all tokens, the middle ones only those chosen, and the last ones the fusion of both."""

    low: int = 2
    high: int = -2
    choose: Choose | None = Skip(inner=Cells())
    token: Token = "fixed"
    std: float = 0.02
    order: Order = "span first"

    @property
    def spans(self) -> tuple[Span, ...]:
        back = Fusion(token=self.token, std=self.std, order=self.order)
        return (Span(name="middle", low=self.low, high=self.high, back=back, choose=self.choose),)


class _MaskToken(nn.Module):
    token: Tensor

    def __init__(self, config: MaskToken | Fusion, width: int):
        super().__init__()
        parameter(self, "token", (width,), Normal(config.std), "vector" if config.token == "learned" else "table")

    def forward(self, end: SpanEnd) -> Float[Tensor, "b n d"]:
        return end.over(self.token.to(end.before.h.dtype).expand_as(end.before.h))


class _Fusion(nn.Module):
    def __init__(self, config: Fusion, width: int):
        super().__init__()
        self.mask = _MaskToken(config, width)  # type: ignore[arg-type]
        self.linear = linear(2 * width, width)
        self.step = 1 if config.order == "span first" else -1

    def forward(self, end: SpanEnd) -> Float[Tensor, "b n d"]:
        out = self.mask(end)
        return self.linear(torch.cat([out, end.before.h.to(out.dtype)][:: self.step], -1))

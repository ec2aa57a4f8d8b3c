"""Routing: tokens that do not pass wait, and come back behind the span as they stood in front of it.

TREAD (arXiv 2501.04765; facts from CompVis/tread routing_module.py and dit.py): half of the tokens, drawn anew for each
route, skip the blocks from `low` up to and with the last of the route (our `high` is one behind it). It owns nothing, so
weights are those of the plain network and any run of blocks of any model may be left by some tokens at inference.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.registry import register
from frisket.models.layers.base import Sizes
from frisket.models.plans.base import Draws, Span, SpanEnd
from frisket.models.plans.choose import Uniform

CITE = (
    "Krause, Phan, Gui, Baumann, Hu, Ommer. TREAD: Token Routing for Efficient Architecture-agnostic Diffusion "
    "Training. 2025. arXiv:2501.04765"
)


@register("return/bypass", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Bypass:
    """The features in front of the span."""

    def build(self, sizes: Sizes) -> nn.Module:
        return BypassModule()


@register("plan/routing", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Routing(Draws):
    """One route: the share `drop` of the tokens skips the blocks [low, high) while training."""

    low: int = 2
    high: int = -3
    drop: float = 0.5

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Span(name="route", low=self.low, high=self.high, back=Bypass(), choose=Uniform(drop=self.drop)),)


class BypassModule(nn.Module):
    def forward(self, end: SpanEnd) -> Float[Tensor, "b n d"]:
        return end.over(end.before.h)

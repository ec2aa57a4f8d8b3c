"""Feed-forward branches: every token by itself. What its hidden units give is a site (`hidden`).

Shapes: b batch, n tokens, d width, u hidden units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.registry import register
from frisket.models.init import linear
from frisket.models.layers.base import BranchCall, Sizes
from frisket.models.tokens import Tokens


@register("ffn/gelu")
@dataclass(frozen=True, kw_only=True)
class Gelu:
    """Linear, GELU, Linear. ratio: hidden width over width. approximate: "tanh" (DiT) or "none" (the exact GELU)."""

    ratio: float = 4.0
    approximate: Literal["tanh", "none"] = "tanh"
    bias: bool = True

    def build(self, sizes: Sizes) -> nn.Module:
        return _Gelu(self, sizes.width)


@register("ffn/silu")
@dataclass(frozen=True, kw_only=True)
class Silu:
    """Linear, SiLU, Linear. ratio: hidden width over width (1 in MAR's head, arXiv 2406.11838)."""

    ratio: float = 1.0
    bias: bool = True

    def build(self, sizes: Sizes) -> nn.Module:
        return _Silu(self, sizes.width)


@register("ffn/swiglu")
@dataclass(frozen=True, kw_only=True)
class SwiGLU:
    """down(silu(gate(x)) * up(x)) (arXiv 2002.05202). The default ratio has the weights of a GELU layer of ratio 4."""

    ratio: float = 8 / 3
    bias: bool = False

    def build(self, sizes: Sizes) -> nn.Module:
        return _SwiGLU(self, sizes.width)


class _Ffn(nn.Module, ABC):
    """Up, a site between, and down. wide: outputs of the first layer, for each hidden unit."""

    hides = True

    def __init__(self, config: Gelu | Silu | SwiGLU, width: int, wide: int = 1):
        super().__init__()
        hidden = int(width * config.ratio)
        self.up = linear(width, wide * hidden, bias=config.bias)
        self.down = linear(hidden, width, bias=config.bias)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        return self.down(call.at(call.hidden_site, self.hidden, tokens.h))

    @abstractmethod
    def hidden(self, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b n u"]:
        """The hidden units."""


class _Gelu(_Ffn):
    def __init__(self, config: Gelu, width: int):
        super().__init__(config, width)
        self.approximate = config.approximate

    def hidden(self, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b n u"]:
        return functional.gelu(self.up(h), approximate=self.approximate)


class _Silu(_Ffn):
    def hidden(self, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b n u"]:
        return functional.silu(self.up(h))


class _SwiGLU(_Ffn):
    def __init__(self, config: SwiGLU, width: int):
        super().__init__(config, width, wide=2)  # gate and up, fused

    def hidden(self, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b n u"]:
        gate, up = self.up(h).chunk(2, dim=-1)
        return functional.silu(gate) * up

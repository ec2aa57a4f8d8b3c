"""Modulation with numbers of their own for the state's tokens and for those that stand beside them (text).

CogVideoX (arXiv 2408.06072; facts from diffusers `CogVideoXLayerNormZero`): one norm and one set of attention and
feed-forward weights serve both, but shift, scale and gate are made twice.
Shapes: b batch, k distinct times, w width of the condition vector, u numbers (of width d) a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.registry import register
from frisket.models.init import ZEROS, linear
from frisket.models.layers.base import Side


@register("modulation/by_stream")
@dataclass(frozen=True, kw_only=True)
class ByStream:
    """A zero-initialised linear layer a block gives all numbers of the state's tokens, then all of the others'."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _ByStream(condition, width * count)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


class _ByStream(nn.Module):
    def __init__(self, condition: int, out: int):
        super().__init__()
        self.linear = linear(condition, 2 * out, law=ZEROS, role="modulation")

    def forward(self, side: Side) -> Float[Tensor, "b 2 k u"]:
        numbers = self.linear(side.vector)
        numbers = numbers.unsqueeze(1) if numbers.ndim == 2 else numbers
        return numbers.unflatten(-1, (2, -1)).transpose(1, 2)

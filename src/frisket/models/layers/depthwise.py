"""Feed-forward branches with a depthwise convolution between their two layers, plain or in a wider form for training.

U-DiT's (arXiv 2405.02730; facts from YuchuanTian/U-DiT udit_models.py): up, exact GELU, depthwise 5x5, down. The wider
form (re-parameterisation, arXiv 2101.03697) trains each linear layer as a product of two through half the hidden width,
and the convolution as the sum of a 5x5, a 3x3 and a 1x1 one and the identity; `folded` gives the plain layer's weights
that compute the same (`compression.folding` is the edit). The official code adds the smaller kernels to the trained 5x5
in place when it is put into evaluation mode; here weights are never changed.
Shapes: b batch, n tokens, d width, u hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import linear
from frisket.models.layers.base import BranchCall, Sizes
from frisket.models.layers.convolutions import as_tokens, plane
from frisket.models.layers.maps import conv
from frisket.models.tokens import Tokens

SIDES = (5, 3, 1)


@register("ffn/depthwise")
@dataclass(frozen=True, kw_only=True)
class Depthwise:
    """ratio: hidden width over width. It needs the whole plane."""

    ratio: float = 2.0

    def build(self, sizes: Sizes) -> nn.Module:
        return _Depthwise(_hidden(self.ratio, sizes.width), sizes.width)


@register("ffn/reparameterised", cite="Ding et al. RepVGG. 2021. arXiv:2101.03697")
@dataclass(frozen=True, kw_only=True)
class Reparameterised:
    """The wider form. ratio: hidden width, an even number, over width."""

    ratio: float = 2.0

    def build(self, sizes: Sizes) -> nn.Module:
        hidden = _hidden(self.ratio, sizes.width)
        check(hidden % 2 == 0, "hidden width", hidden, "even, for layers through half of it")
        return _Reparameterised(hidden, sizes.width)


def _hidden(ratio: float, width: int) -> int:
    check(int(ratio * width) >= 1, "ffn.ratio", ratio, f"at least 1 / {width}")
    return int(ratio * width)


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a `Depthwise` that computes what the `Reparameterised` with these weights does; new tensors."""
    out = {}
    for ours, pair in (("up", "up"), ("down", "down")):
        (w1, b1), (w2, b2) = ((weights[f"{pair}.{i}.weight"], weights[f"{pair}.{i}.bias"]) for i in (0, 1))
        out[f"{ours}.weight"], out[f"{ours}.bias"] = w2 @ w1, w2 @ b1 + b2
    kernel, bias = 0, 0
    for i, side in enumerate(SIDES):
        edge = (SIDES[0] - side) // 2
        kernel = kernel + functional.pad(weights[f"local.{i}.weight"], (edge,) * 4)
        bias = bias + weights[f"local.{i}.bias"]
    middle = SIDES[0] // 2
    kernel[:, :, middle, middle] += 1.0  # type: ignore[index]
    out["local.weight"], out["local.bias"] = kernel, bias
    return out  # type: ignore[return-value]


class _Depthwise(nn.Module):
    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.up, self.down = linear(width, hidden), linear(hidden, width)
        self.local = conv(hidden, hidden, SIDES[0], groups=hidden)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        x = plane(tokens.with_h(functional.gelu(self.up(tokens.h))), call.side.grid.axes)
        return self.down(as_tokens(self.local(x)))


class _Reparameterised(nn.Module):
    def __init__(self, hidden: int, width: int):
        super().__init__()
        half = hidden // 2
        self.up = nn.Sequential(linear(width, half), linear(half, hidden))
        self.local = nn.ModuleList(conv(hidden, hidden, side, groups=hidden) for side in SIDES)
        self.down = nn.Sequential(linear(hidden, half), linear(half, width))

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        x = plane(tokens.with_h(functional.gelu(self.up(tokens.h))), call.side.grid.axes)
        total = x
        for layer in self.local:
            total = total + layer(x)
        return self.down(as_tokens(total))

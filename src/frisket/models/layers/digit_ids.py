"""An input of ids spelled in digits: the embeddings of a token's digits, concatenated.

Source: MDM-Prime 2505.18495; `PerceiverDIT` in text/models/dit.py of chen-hao-chao/mdm-prime was read for facts. One
table of base + 1 rows (the last one the mask id's) and width / l features serves all digits, so that the sequence is as
long, and the trunk as dear, as without them.
Shapes: b batch, n tokens, l digits, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import Uniform, embedding


@register("input/digits")
@dataclass(frozen=True, kw_only=True)
class DigitIds:
    """Digits (b, *size, count) in [0, base], the last one the mask id. The width must be a multiple of `count`."""

    base: int = 16
    size: tuple[int, ...] = (64,)
    count: int = 2

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size, 1)

    def grid_of(self, x: Tensor) -> Grid:
        check(x.ndim == 2 + len(self.size), "axes of the state", x.ndim - 1, str(len(self.size) + 1))
        check(x.shape[-1] == self.count, "digits of the state", x.shape[-1], str(self.count))
        check(not x.is_floating_point(), "dtype of the state", x.dtype, "an integer type")
        return Grid.of(tuple(x.shape[1:-1]), 1)

    def fit(self, spec: Spec) -> DigitIds:
        if spec.symbols is None or spec.vocabulary is None:
            raise FrisketError("input/digits reads a state whose last axis spells symbols (codec/digits)")
        return replace(self, base=spec.vocabulary, size=tuple(spec.shape[:-1]), count=spec.shape[-1])

    def build(self, width: int, extra_channels: int) -> nn.Module:
        check(extra_channels == 0, "doors by channels", extra_channels, "none where the state is ids")
        check(width % self.count == 0, "model.width", width, f"a multiple of the {self.count} digits")
        return _DigitIds(self, width)


class _DigitIds(nn.Module):
    def __init__(self, config: DigitIds, width: int):
        super().__init__()
        features = width // config.count
        self.table = embedding(config.base + 1, features, Uniform(features**-0.5))

    def forward(self, x: Int[Tensor, "b *size l"], grid: Grid) -> Float[Tensor, "b n d"]:
        return self.table(x.flatten(1)).reshape(len(x), grid.tokens, -1)

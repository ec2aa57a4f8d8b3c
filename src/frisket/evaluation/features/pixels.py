"""The sample itself as its features: what a metric says without any network. Shapes: b batch, d = c * h * w."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from frisket.core.registry import register
from frisket.data.base import Data


@register("features/pixels")
@dataclass(frozen=True, kw_only=True)
class PixelFeatures:
    """Flattened values; sensible for tiny images and series, not for photographs."""

    def build(self, data: Data) -> PixelExtractor:
        return PixelExtractor()


class PixelExtractor:
    """No weights, no classes."""

    name = "pixels"
    classes = 0

    def __call__(self, x: Float[Tensor, "b ..."]) -> tuple[Float[Tensor, "b d"], None]:
        return x.flatten(1).float(), None

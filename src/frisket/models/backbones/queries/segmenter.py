"""The whole segmenter: trunk, pixel decoder and query decoder; each query names a class and draws a mask.

Mask2Former (arXiv 2112.01527). One architecture for panoptic, instance and semantic segmentation: what differs is the
training data and how the predictions are read (`frisket.sampling.segments`).
Shapes: b batch, c channels, q queries, k classes, l decoder layers, h w the image, H W its finest map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.models.backbones.queries.base import PixelDecoder, Refined, Trunk
from frisket.models.backbones.queries.decoder import DecoderLayer, QueryDecoder
from frisket.models.backbones.queries.focus import Focus, Predicted
from frisket.models.backbones.queries.pixels import Deformable
from frisket.models.backbones.queries.trunk import Residual
from frisket.models.base import Keep
from frisket.models.init import build_real

CITE = (
    "Cheng, Misra, Schwing, Kirillov, Girdhar. Masked-attention Mask Transformer for Universal Image Segmentation. "
    "2021. arXiv:2112.01527"
)


@register("segmenter/queries", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class QuerySegmenter:
    """classes: how many, countable or not; further class ids mean no object. stuff: those classes that are not
    countable (ground, sky), of which an image has one segment at most. queries: the most segments an image can have.
    layers: of the query decoder. hidden: width of its feed-forward parts over the width. project: a convolution before
    each map it reads. channels: of the image. score, overlap: how a panoptic map is read from its predictions, unless a
    call says otherwise (`frisket.sampling.segments.Merge`)."""

    classes: int = 21
    stuff: tuple[int, ...] = (0,)
    queries: int = 16
    width: int = 64
    heads: int = 4
    layers: int = 3
    hidden: float = 4.0
    project: bool = False
    channels: int = 3
    score: float = 0.8
    overlap: float = 0.8
    trunk: Trunk = Residual()
    pixels: PixelDecoder = Deformable()
    focus: Focus = Predicted()

    def __post_init__(self):
        check(self.classes >= 1, "model.classes", self.classes, "1 or more")
        check(all(0 <= k < self.classes for k in self.stuff), "model.stuff", self.stuff, f"in 0..{self.classes - 1}")
        check(self.queries >= 1, "model.queries", self.queries, "1 or more")
        check(self.layers >= 1, "model.layers", self.layers, "1 or more")
        check(0 <= self.score <= 1, "model.score", self.score, "between 0 and 1")
        check(0 <= self.overlap <= 1, "model.overlap", self.overlap, "between 0 and 1")
        fits = self.heads >= 1 and self.width % self.heads == 0
        check(fits, "model.heads", self.heads, f"a divisor of the width {self.width}")

    def build(self) -> nn.Module:
        return build_real(lambda: _QuerySegmenter(self))

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> QuerySegmenter:
        """The segmenter itself: how many classes it has is said, not found, because the ids of a segmentation are not
        the labels of images. Raises `FrisketError` unless the state is an image of its channels whose sides are
        multiples of the coarsest stride."""
        stride = self.trunk.strides[-1]
        fits = spec.kind == "continuous" and len(spec.shape) == 3 and spec.shape[0] == self.channels
        fits = fits and all(side % stride == 0 for side in spec.shape[1:])
        check(fits, "state", (spec.kind, spec.shape), f"({self.channels}, h, w) with h and w multiples of {stride}")
        return self


class _QuerySegmenter(nn.Module):
    conditions = ()

    def __init__(self, config: QuerySegmenter):
        super().__init__()
        self.config = config
        self.trunk = config.trunk.build(config.channels)
        self.pixels = config.pixels.build(config.trunk.channels, config.width, config.heads)
        self.decoder = QueryDecoder(
            config.focus, width=config.width, heads=config.heads, classes=config.classes, queries=config.queries,
            layers=config.layers, levels=config.pixels.levels, hidden=round(config.hidden * config.width),
            project=config.project,
        )  # fmt: skip

    def sites(self) -> list[str]:
        """Every addressable position of the call."""
        inner = [
            f"block[{i}]{part}"
            for i in range(len(self.decoder.layers))
            for part in ("", *(f".{n}" for n in DecoderLayer.names), ".cross.attend", ".attn.attend")
        ]
        return ["model", "trunk", "pixels", *inner]

    def forward(
        self, x_t: Float[Tensor, "b c h w"], t: Tensor | None = None, cond: Condition | None = None,
        keep: Keep | None = None,
    ) -> Output:  # fmt: skip
        """Images (b, c, h, w); t is not read. `pred` are the mask logits (b, q, H, W); `aux` holds "classes" (b, q, k + 1),
        the last logit for no object, and the earlier predictions, before the first layer and after all but the last:
        "layer_masks" (b, l, q, H, W), "layer_classes" (b, l, q, k + 1).

        Raises `FrisketError` on conditions or spans, which it does not have, and on sides that do not divide.
        """
        for name in cond.values if cond is not None else ():
            raise unknown("condition", name, ())
        for name in keep or ():
            raise FrisketError(f"keep names the span {name!r}, but this model has no token plan")
        stride = self.config.trunk.strides[-1]
        check(all(s % stride == 0 for s in x_t.shape[2:]), "image", tuple(x_t.shape[2:]), f"multiples of {stride}")
        at = Dispatch(self)
        return at("model", partial(self._call, at), x_t, t, cond, keep)

    def _call(
        self, at: Dispatch, x_t: Tensor, t: Tensor | None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        refined: Refined = at("pixels", self.pixels, at("trunk", self.trunk, x_t))
        *earlier, last = self.decoder(refined, at)
        aux = {
            "classes": last.classes,
            "layer_masks": torch.stack([p.masks for p in earlier], 1),
            "layer_classes": torch.stack([p.classes for p in earlier], 1),
        }
        return Output(last.masks, aux)

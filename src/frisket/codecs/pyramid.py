"""Images as one row of continuous tokens: a coarse image's before the fine one's, or those of one image alone.

The token is a patch of an inner codec's state (a pixel, a cell of an autoencoder). A coarse level is the image made
smaller *before* it is encoded, by averaging, as Hi-MAR (arXiv 2505.20288) does; it is decoded from the last level alone.
A hidden token (NaN) decodes as the state 0.
Shapes: b batch, c channels, h w pixels, d numbers of a token (channel, then place in the patch), n tokens of all levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Codec, CodecConfig, Spec
from frisket.codecs.cells import touched
from frisket.codecs.pixels import Pixels
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/pyramid")
@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """codec: of each level, continuous. shrink: by which factor each level's image is smaller, the last by 1. patch:
    side of a token in the inner state. size: of the image; `fit` sets it."""

    codec: CodecConfig = field(default_factory=Pixels)
    shrink: tuple[int, ...] = (1,)
    patch: int = 1
    size: tuple[int, ...] = ()

    def __post_init__(self):
        fits = bool(self.shrink) and self.shrink[-1] == 1 and all(s >= 1 for s in self.shrink)
        check(fits, "codec.shrink", self.shrink, "whole factors, the last of which is 1")
        check(self.patch >= 1, "codec.patch", self.patch, "at least 1")

    def fit(self, source: Source | Stream) -> Pyramid:
        """A copy for the source's images."""
        return replace(self, codec=self.codec.fit(source), size=tuple(source.info.shape))

    def build(self) -> PyramidCodec:
        return PyramidCodec(self, self.codec.build())


class PyramidCodec(nn.Module):
    """A built `Pyramid`."""

    def __init__(self, config: Pyramid, inner: Codec):
        super().__init__()
        self.config, self.inner = config, inner

    @property
    def stochastic(self) -> bool:
        """Never: the levels' posteriors are taken at their modes."""
        return False

    def encode(self, x: Float[Tensor, "b c h w"], draw: Tensor | None = None) -> Float[Tensor, "b d n"]:
        """x in [0, 1] to a row of tokens. Raises `FrisketError` on sides that the levels do not divide."""
        self._check(tuple(x.shape[1:]))
        states = [self.inner.encode(functional.avg_pool2d(x, s) if s > 1 else x) for s in self.config.shrink]
        return torch.cat([functional.unfold(z, self.config.patch, stride=self.config.patch) for z in states], -1)

    def decode(self, state: Float[Tensor, "b d n"]) -> Float[Tensor, "b c h w"]:
        """The image of the last level."""
        return self.level(state, -1)

    def level(self, state: Float[Tensor, "b d n"], k: int) -> Float[Tensor, "b c h w"]:
        """The image of level k, of its own size."""
        shapes = [self._state(s) for s in self.config.shrink]
        counts = [self._tokens(shape) for shape in shapes]
        z = state.split(counts, -1)[k].nan_to_num()
        return self.inner.decode(functional.fold(z, shapes[k][1:], self.config.patch, stride=self.config.patch))

    def touched(self, repaint: Bool[Tensor, "b c h w"]) -> Bool[Tensor, "b 1 n"]:
        """Which tokens of any level a region of the image touches."""
        size, patch = tuple(repaint.shape[1:]), self.config.patch
        shapes = [self._state(s, self.config.size or size)[1:] for s in self.config.shrink]
        return torch.cat([touched(repaint, (h // patch, w // patch)).flatten(2) for h, w in shapes], -1)

    def spec(self, info: Info) -> Spec:
        self._check(tuple(info.shape))
        channels = self._state(1, tuple(info.shape))[0]
        tokens = sum(self._tokens(self._state(s, tuple(info.shape))) for s in self.config.shrink)
        return Spec(kind="continuous", shape=(channels * self.config.patch**2, tokens))

    def _state(self, shrink: int, size: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The shape of a level's inner state."""
        size = size or self.config.size
        if not size:
            raise FrisketError("codec.size = () is not accepted; fit the codec to its data before it decodes")
        c, h, w = size
        spec = self.inner.spec(Info(kind="image", shape=(c, h // shrink, w // shrink)))
        check(spec.kind == "continuous", "codec.codec", spec.kind, "continuous")
        return spec.shape

    def _tokens(self, shape: tuple[int, ...]) -> int:
        return (shape[1] // self.config.patch) * (shape[2] // self.config.patch)

    def _check(self, size: tuple[int, ...]) -> None:
        for s in self.config.shrink:
            divides = len(size) == 3 and all(side % s == 0 for side in size[1:])
            whole = divides and all(side % self.config.patch == 0 for side in self._state(s, size)[1:])
            check(whole, "image shape", size, f"sides that {s} and then patches of {self.config.patch} divide")

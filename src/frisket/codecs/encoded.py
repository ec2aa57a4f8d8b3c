"""Data that a codec has encoded already (`frisket.data.latents`): encoding does nothing, decoding is that codec's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from frisket.codecs.base import Codec, CodecConfig, Spec
from frisket.core.config import from_config
from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/encoded")
@dataclass(frozen=True, kw_only=True)
class Encoded:
    """codec: the one that wrote the states; None takes it from the set's index when fitted."""

    codec: CodecConfig | None = None

    def fit(self, source: Source | Stream) -> Encoded:
        """Raises `FrisketError` if neither the config nor the set says which codec wrote it."""
        if self.codec is not None:
            return self
        stored = source.info.extra.get("codec")
        if stored is None:
            raise FrisketError("codec.codec = None is not accepted; it must be the codec that encoded the set")
        return replace(self, codec=from_config(stored, CodecConfig, "the codec of the set"))

    def build(self) -> EncodedCodec:
        if self.codec is None:
            raise FrisketError("codec.codec = None is not accepted; it must be set or fitted before it is built")
        return EncodedCodec(self.codec.build())


class EncodedCodec(nn.Module):
    """The identity, and another codec's decoder."""

    def __init__(self, inner: Codec):
        super().__init__()
        self.inner = inner

    def encode(self, x: Tensor, draw: Tensor | None = None) -> Tensor:
        """The stored state. A posterior sample cannot be drawn any more: `draw` has no effect."""
        return x

    def decode(self, state: Tensor) -> Tensor:
        return self.inner.decode(state)

    def spec(self, info: Info) -> Spec:
        ids = info.kind == "ids"
        return Spec(kind="ids" if ids else "continuous", shape=info.shape, vocabulary=info.extra["vocabulary"])

"""Digits: each id of another codec's state becomes a row of `count` digits, so that it can be hidden in part.

Source: MDM-Prime 2505.18495; `encoder` and `decoder` in text/utils/utils.py of chen-hao-chao/mdm-prime were read for
facts. The base is the smallest whose digits can spell every id, the most significant digit comes first, and the digits
are an axis of their own, the last. Digits that spell no id (the last few codes where base^count exceeds the vocabulary)
decode to the last id; official code leaves them out of its tokenizer's range.
Shapes: b items, `*n` the inner state's grid, l digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn

from frisket.codecs.base import CodecConfig, Spec
from frisket.codecs.text import Characters
from frisket.core.digits import base_of, digits_of, number_of
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/digits")
@dataclass(frozen=True, kw_only=True)
class Digits:
    """inner: what makes ids of data. count: digits an id. vocabulary: of the inner codec, set by `fit`."""

    inner: CodecConfig = field(default_factory=Characters)
    count: int = 2
    vocabulary: int = 0

    def __post_init__(self):
        check(self.count >= 1, "codec.count", self.count, "1 or more")
        check(self.vocabulary >= 0, "codec.vocabulary", self.vocabulary, "1 or more (0 = not yet known)")

    def fit(self, source: Source | Stream) -> Digits:
        """With the inner codec fitted. Raises `FrisketError` unless that gives ids."""
        inner = self.inner.fit(source)
        spec = inner.build().spec(source.info)
        check(spec.kind == "ids" and spec.symbols is None, "what codec/digits splits", spec.kind, "ids")
        return replace(self, inner=inner, vocabulary=spec.vocabulary)

    def build(self) -> BuiltDigits:
        if self.vocabulary < 1:
            raise FrisketError("codec.vocabulary = 0: give the inner codec's number of ids, or fit the codec to data")
        return BuiltDigits(self)


class BuiltDigits:
    """pieces: ids of the state for one of the inner codec's, by which bits are counted."""

    def __init__(self, config: Digits):
        self.config, self.inner, self.pieces = config, config.inner.build(), config.count
        check(not isinstance(self.inner, nn.Module), "codec.inner", config.inner, "one without weights")
        self.base = base_of(config.vocabulary, config.count)

    def encode(self, x: Any, draw: Tensor | None = None) -> Int[Tensor, "b *n l"]:
        """Raises `FrisketError` as the inner codec does."""
        return digits_of(self.inner.encode(x, draw), self.base, self.pieces)

    def decode(self, state: Int[Tensor, "b *n l"]) -> Any:
        return self.inner.decode(number_of(state, self.base).clamp(max=self.config.vocabulary - 1))

    def spec(self, info: Info) -> Spec:
        shape = (*self.inner.spec(info).shape, self.pieces)
        return Spec(kind="ids", shape=shape, vocabulary=self.base, symbols=self.config.vocabulary)

"""Strings to ids and back: characters, words, bytes, a pretrained tokenizer, and data that are ids already.

A state's vocabulary counts real symbols only; a masked process adds a mask id of its own behind them, so no codec here
has one. Strings of one batch must give equally many ids, except where a codec has a fixed `length`: then `valid` says
which positions are real.
Shapes: b strings, n ids each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/characters")
@dataclass(frozen=True, kw_only=True)
class Characters:
    """A character is its place in `alphabet`. One that is not in it is an error: an alphabet is small, so fit it to the
    whole corpus (the embedded and the user's `text` list the characters of both splits)."""

    alphabet: str = ""

    def __post_init__(self):
        check(len(set(self.alphabet)) == len(self.alphabet), "codec.alphabet", self.alphabet, "free of repetitions")

    def fit(self, source: Source | Stream) -> Characters:
        """The source's alphabet, unless one is set."""
        return self if self.alphabet else replace(self, alphabet="".join(_extra(source.info, "alphabet")))

    def build(self) -> Characters:
        check(bool(self.alphabet), "codec.alphabet", self.alphabet, "set or fitted before it is built")
        return self

    def encode(self, x: Sequence[str], draw: Tensor | None = None) -> Int[Tensor, "b n"]:
        """Raises `FrisketError` on strings of different lengths and on a character outside the alphabet."""
        length = _common_length(x, "characters")
        points = _code_points("".join(x))
        ids = np.full(len(points), -1, dtype=np.int64)
        inside = points < len(self._table)
        ids[inside] = self._table[points[inside]]
        if (ids < 0).any():
            odd = chr(int(points[int((ids < 0).argmax())]))
            raise FrisketError(f"the character {odd!r} is not in the codec's alphabet of {len(self.alphabet)}")
        return torch.from_numpy(ids.reshape(len(x), length))

    def decode(self, state: Int[Tensor, "b n"]) -> list[str]:
        _check_range(state, len(self.alphabet))
        points = _code_points(self.alphabet)[state.cpu().numpy()]
        text = points.astype("<u4").tobytes().decode("utf-32-le", errors="surrogatepass")
        n = state.shape[1]
        return [text[i * n : (i + 1) * n] for i in range(len(state))]

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=(int(_extra(info, "length")),), vocabulary=len(self.alphabet))

    @cached_property
    def _table(self) -> np.ndarray:
        points = _code_points(self.alphabet)
        table = np.full(int(points.max(initial=-1)) + 1, -1, dtype=np.int64)
        table[points] = np.arange(len(points))
        return table


@register("codec/words")
@dataclass(frozen=True, kw_only=True)
class Words:
    """A string of words joined by single spaces; a word is its place in `words`.

    limit: how many words fitting keeps, most frequent first; 0 keeps all. unknown: what stands for any other word; it
    takes the id behind the last word and decodes to itself. With "" another word is an error.
    """

    words: tuple[str, ...] = ()
    limit: int = 0
    unknown: str = "<unk>"

    def __post_init__(self):
        check(len(set(self.words)) == len(self.words), "codec.words", self.words, "free of repetitions")
        spaced = [w for w in self.words if not w or " " in w]
        check(not spaced, "codec.words", spaced, "words without spaces")
        check(self.limit >= 0, "codec.limit", self.limit, "0 or more")
        check(self.unknown not in self.words, "codec.unknown", self.unknown, "none of the words")

    def fit(self, source: Source | Stream) -> Words:
        """The source's words, the first `limit` of them, unless some are set."""
        if self.words:
            return self
        words = tuple(_extra(source.info, "words"))
        words = tuple(w for w in words if w != self.unknown)
        return replace(self, words=words[: self.limit] if self.limit else words)

    def build(self) -> Words:
        check(bool(self.words), "codec.words", self.words, "set or fitted before it is built")
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """What each id decodes to."""
        return (*self.words, self.unknown) if self.unknown else self.words

    def encode(self, x: Sequence[str], draw: Tensor | None = None) -> Int[Tensor, "b n"]:
        """Raises `FrisketError` on different numbers of words, and on a word outside the list when `unknown` is ""."""
        split = [text.split(" ") for text in x]
        length = _common_length(split, "words")
        other = len(self.words) if self.unknown else -1
        ids = [self._place.get(word, other) for words in split for word in words]
        if -1 in ids:
            odd = next(w for words in split for w in words if w not in self._place)
            raise FrisketError(f"the word {odd!r} is not among the codec's {len(self.words)}")
        return torch.tensor(ids, dtype=torch.int64).reshape(len(x), length)

    def decode(self, state: Int[Tensor, "b n"]) -> list[str]:
        symbols = self.symbols
        _check_range(state, len(symbols))
        return [" ".join(symbols[i] for i in row) for row in state.tolist()]

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=(int(_extra(info, "length")),), vocabulary=len(self.symbols))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: k for k, word in enumerate(self.words)}


@register("codec/bytes")
@dataclass(frozen=True, kw_only=True)
class Bytes:
    """UTF-8 bytes, cut at a whole character or padded with byte 0 to `length` ids; vocabulary 256.

    Zero bytes at the end are padding, so a string that ends in "\\0" loses it. A model may sample bytes that are no
    UTF-8: they decode to U+FFFD.
    """

    length: int = 64

    def __post_init__(self):
        check(self.length >= 1, "codec.length", self.length, "1 or more")

    def fit(self, source: Source | Stream) -> Bytes:
        return self

    def build(self) -> Bytes:
        return self

    def encode(self, x: Sequence[str], draw: Tensor | None = None) -> Int[Tensor, "b n"]:
        rows = b"".join(self._cut(text).ljust(self.length, b"\0") for text in x)
        return torch.from_numpy(np.frombuffer(rows, dtype=np.uint8).astype(np.int64).reshape(len(x), self.length))

    def valid(self, x: Sequence[str]) -> Bool[Tensor, "b n"]:
        """Which ids of `encode(x)` are not padding."""
        lengths = torch.tensor([len(self._cut(text)) for text in x], dtype=torch.int64)
        return torch.arange(self.length) < lengths[:, None]

    def decode(self, state: Int[Tensor, "b n"]) -> list[str]:
        _check_range(state, 256)
        rows = state.cpu().numpy().astype(np.uint8)
        return [row.tobytes().rstrip(b"\0").decode("utf-8", errors="replace") for row in rows]

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=(self.length,), vocabulary=256)

    def _cut(self, text: str) -> bytes:
        data = text.encode("utf-8")
        end = min(self.length, len(data))
        while end < len(data) and end > 0 and data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        return data[:end]


@register("codec/ids")
@dataclass(frozen=True, kw_only=True)
class Ids:
    """Data that are ids 0..vocabulary-1 already."""

    vocabulary: int = 0

    def fit(self, source: Source | Stream) -> Ids:
        """The source's vocabulary, unless one is set."""
        return self if self.vocabulary else replace(self, vocabulary=int(_extra(source.info, "vocabulary")))

    def build(self) -> Ids:
        check(self.vocabulary >= 1, "codec.vocabulary", self.vocabulary, "set or fitted before it is built")
        return self

    def encode(self, x: Shaped[Tensor, "b *grid"], draw: Tensor | None = None) -> Int[Tensor, "b *grid"]:
        check(not (x.is_floating_point() or x.is_complex()), "x.dtype", x.dtype, "whole numbers")
        _check_range(x, self.vocabulary)
        return x.to(torch.int64)

    def decode(self, state: Int[Tensor, "b *grid"]) -> Int[Tensor, "b *grid"]:
        _check_range(state, self.vocabulary)
        return state

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=info.shape, vocabulary=self.vocabulary)


def _extra(info: Info, name: str):
    if name not in info.extra:
        raise FrisketError(f"the set does not state its {name}; set it in the codec or choose another codec")
    return info.extra[name]


def _common_length(x: Sequence, unit: str) -> int:
    lengths = {len(row) for row in x}
    if len(lengths) != 1:
        raise FrisketError(f"strings of {sorted(lengths)[:4]} {unit} cannot share a batch; they must be equally long")
    return lengths.pop()


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype="<u4").astype(np.int64)


def _check_range(state: Tensor, vocabulary: int) -> None:
    if state.numel() and (int(state.min()) < 0 or int(state.max()) >= vocabulary):
        raise FrisketError(f"ids {int(state.min())}..{int(state.max())} are not all in 0..{vocabulary - 1}")

"""Sentences of different lengths to ids: words and marks of punctuation, padded to a fixed length.

Id 0 is padding, which a model that reads the ids need not look at (`pad`); then come the words in the order given.
Shapes: b strings, n ids each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream

PIECES = re.compile(r"\w+|[^\w\s]")
CLINGING = re.compile(r" ([,.;:!?)])")  # marks that stand at the word before them


@register("codec/sentences")
@dataclass(frozen=True, kw_only=True)
class Sentences:
    """words: what has an id of its own, from 1. length: ids of a sentence, the rest being padding; 0 takes the longest
    of those fitted to. unknown: what stands for any other word; it takes the id behind the last word. With "" another
    word is an error that names the nearest one.

    Spaces are not kept: a sentence comes back with single spaces, none before a comma or a full stop.
    """

    words: tuple[str, ...] = ()
    length: int = 0
    unknown: str = ""

    def __post_init__(self):
        check(len(set(self.words)) == len(self.words), "codec.words", self.words, "free of repetitions")
        check(self.length >= 0, "codec.length", self.length, "1 or more (0 = not yet fitted)")
        check(self.unknown not in self.words, "codec.unknown", self.unknown, "none of the words")

    @property
    def pad(self) -> int:
        """The id that fills up."""
        return 0

    @property
    def vocabulary(self) -> int:
        return 1 + len(self.words) + bool(self.unknown)

    def fit(self, source: Source | Stream) -> Sentences:
        """The words and the longest sentence of up to 4,096 items of `x`, where they are not set."""
        if self.words and self.length:
            return self
        size = min(source.info.size or 4096, 4096)
        x = source.batch(torch.arange(size))["x"] if hasattr(source, "batch") else source.read(size)["x"]  # type: ignore[union-attr]
        return self.fit_to(x)

    def fit_to(self, sentences: Sequence[str]) -> Sentences:
        """Words, most frequent first, and the longest of these sentences, where they are not set."""
        split = [PIECES.findall(s) for s in sentences]
        counts = Counter(word for row in split for word in row if word != self.unknown)
        words = self.words or tuple(sorted(counts, key=lambda w: (-counts[w], w)))
        return replace(self, words=words, length=self.length or max((len(row) for row in split), default=0))

    def build(self) -> Sentences:
        check(bool(self.words), "codec.words", self.words, "set or fitted before it is built")
        check(self.length >= 1, "codec.length", self.length, "set or fitted before it is built")
        return self

    def encode(self, x: Sequence[str], draw: Tensor | None = None) -> Int[Tensor, "b n"]:
        """Raises `FrisketError` on a sentence that is too long, and on another word when `unknown` is ""."""
        rows = []
        for sentence in x:
            ids = [self._id(word) for word in PIECES.findall(sentence)]
            check(len(ids) <= self.length, "words of a sentence", len(ids), f"at most the codec's {self.length}")
            rows.append(ids + [0] * (self.length - len(ids)))
        return torch.tensor(rows, dtype=torch.int64).view(len(rows), self.length)

    def valid(self, x: Sequence[str]) -> Bool[Tensor, "b n"]:
        """Which ids of `encode(x)` are not padding."""
        return self.encode(x) != 0

    def decode(self, state: Int[Tensor, "b n"]) -> list[str]:
        if state.numel() and not 0 <= int(state.min()) <= int(state.max()) < self.vocabulary:
            raise FrisketError(f"ids {int(state.min())}..{int(state.max())} are not all in 0..{self.vocabulary - 1}")
        symbols = ("", *self.words, self.unknown)
        return [CLINGING.sub(r"\1", " ".join(symbols[i] for i in row if i)) for row in state.tolist()]

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=(self.length,), vocabulary=self.vocabulary)

    def _id(self, word: str) -> int:
        place = self._place.get(word)
        if place is None and not self.unknown:
            raise unknown("word", word, self.words)
        return len(self.words) + 1 if place is None else place

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: i + 1 for i, word in enumerate(self.words)}

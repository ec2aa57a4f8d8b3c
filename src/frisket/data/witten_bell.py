"""An n-gram model of characters with Witten-Bell smoothing: a judge of text that shares nothing with a neural network.

p(c | h) = (N(h c) + T(h) p(c | shorter h)) / (N(h .) + T(h)), T(h) the number of different successors of h, down to the
uniform law over the alphabet. Works on words as well.
Source: Witten and Bell 1991 in the interpolated form of Chen and Goodman 1998.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from frisket.core.errors import check


class WittenBell:
    """Counted once. train: the text. order: characters before the one that is scored, at most. alphabet: how many
    characters may occur at all (those of `train` and one for any other if None)."""

    def __init__(self, train: str, order: int = 5, alphabet: int | None = None):
        check(len(train) > 0, "train", train, "a text of at least one character")
        check(order >= 0, "order", order, "0 or more")
        self.order = order
        self.alphabet = len(set(train)) + 1 if alphabet is None else alphabet
        self.after: dict[str, dict[str, int]] = {}
        for length in range(order + 1):
            for i in range(length, len(train)):
                held = self.after.setdefault(train[i - length : i], {})
                held[train[i]] = held.get(train[i], 0) + 1
        self.total = {h: sum(held.values()) for h, held in self.after.items()}

    def chance(self, before: str, c: str) -> float:
        """p(c | the last `order` characters of `before`)."""
        p = 1 / self.alphabet
        for length in range(min(self.order, len(before)) + 1):
            held = self.after.get(before[len(before) - length :])
            if held is None:
                break
            p = (held.get(c, 0) + len(held) * p) / (self.total[before[len(before) - length :]] + len(held))
        return p

    def bits(self, texts: Sequence[str]) -> float:
        """Bits per character over all texts, each scored from its first character on."""
        check(sum(map(len, texts)) > 0, "texts", texts, "at least one character")
        total = 0.0
        for text in texts:
            for i, c in enumerate(text):
                total -= math.log2(self.chance(text[max(0, i - self.order) : i], c))
        return total / sum(map(len, texts))


@lru_cache(maxsize=2)
def counted(train: str, order: int = 5) -> WittenBell:
    """The model of a text, kept for the next call."""
    return WittenBell(train, order)

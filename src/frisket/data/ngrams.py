"""How well counting does on text: unigram and bigram models with add-one smoothing, the floor of any text recipe.

p(c) = (N(c) + 1) / (N + k) and p(c | a) = (N(a c) + 1) / (N(a .) + k), counted on the training text, k the number of
characters. The first character of a text has no predecessor and is scored by the unigram. Works on words as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from frisket.core.errors import check


def unigram_bits(train: Sequence[str], test: Sequence[str], alphabet: Sequence[str] | None = None) -> float:
    """Bits per character of `test` under the unigram model of `train`.

    train, test: a string, or a list of words. alphabet: what may occur; the characters of both texts if None.
    Raises `FrisketError` on an empty test text.
    """
    check(len(test) > 0, "test", test, "a text of at least one character")
    return _unigram(train, test, _size(train, test, alphabet)) / len(test)


def bigram_bits(train: Sequence[str], test: Sequence[str], alphabet: Sequence[str] | None = None) -> float:
    """Bits per character of `test` under the bigram model of `train`; arguments as in `unigram_bits`."""
    check(len(test) > 0, "test", test, "a text of at least one character")
    pairs, before = Counter(pairwise(train)), Counter(train[:-1])
    k = _size(train, test, alphabet)
    first = _unigram(train, test[:1], k)
    rest = -sum(math.log2((pairs[a, c] + 1) / (before[a] + k)) for a, c in pairwise(test))
    return (first + rest) / len(test)


def _unigram(train: Sequence[str], test: Sequence[str], k: int) -> float:
    """Bits of all of `test`."""
    count = Counter(train)
    return -sum(math.log2((count[c] + 1) / (len(train) + k)) for c in test)


def _size(train: Sequence[str], test: Sequence[str], alphabet: Sequence[str] | None) -> int:
    return len(alphabet) if alphabet is not None else len(set(train) | set(test))

import math

import pytest

from frisket.core import FrisketError
from frisket.data.ngrams import bigram_bits, unigram_bits
from frisket.data.text import Text


def test_unigram_by_hand():
    # k = 3 (a b c), N = 3: p(a) = 3/6, p(b) = 2/6, p(c) = 1/6
    bits = -(math.log2(1 / 2) + math.log2(1 / 3) + math.log2(1 / 6)) / 3
    assert unigram_bits("aab", "abc") == pytest.approx(bits)


def test_bigram_by_hand():
    # pairs of "aab": aa, ab; a is followed twice. k = 2: p(a) = 3/5, p(b|a) = 2/4, p(a|b) = 1/2
    bits = -(math.log2(3 / 5) + math.log2(1 / 2) + math.log2(1 / 2)) / 3
    assert bigram_bits("aab", "aba") == pytest.approx(bits)


def test_no_training_text_is_uniform():
    assert unigram_bits("", "abcd") == pytest.approx(2)
    assert bigram_bits("", "abcd") == pytest.approx(2)
    assert bigram_bits("", "abcd", alphabet="abcdefgh") == pytest.approx(3)


def test_words_count_like_characters():
    assert unigram_bits(["x", "x", "yy"], ["x", "yy"]) == pytest.approx(unigram_bits("xxy", "xy"))


def test_pairs_help_on_english():
    train, test = Text().open("train"), Text().open("test")
    alphabet = train.info.extra["alphabet"]
    one, two = unigram_bits(train.text, test.text, alphabet), bigram_bits(train.text, test.text, alphabet)
    assert two < one - 0.5
    assert one < math.log2(len(alphabet))


def test_an_empty_test_is_refused():
    with pytest.raises(FrisketError, match="at least one character"):
        unigram_bits("a", "")

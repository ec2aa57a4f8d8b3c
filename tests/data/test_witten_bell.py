import pytest
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.witten_bell import WittenBell, counted


@given(st.text("abc", min_size=1, max_size=30), st.text("abcd", max_size=6), st.integers(0, 4))
def test_chances_are_a_distribution(train, before, order):
    model = WittenBell(train, order, alphabet=4)
    assert sum(model.chance(before, c) for c in "abcd") == pytest.approx(1.0)


def test_closed_form():
    model = WittenBell("abab", order=1, alphabet=2)
    none = (2 + 2 * 0.5) / (4 + 2)  # two a and two b of four, two kinds
    assert model.chance("", "b") == pytest.approx(none)
    assert model.chance("a", "b") == pytest.approx((2 + none) / (2 + 1))
    assert model.bits(["ab"]) == pytest.approx(sum(-_log2(p) for p in (none, (2 + none) / 3)) / 2)


def _log2(p):
    import math

    return math.log2(p)


def test_longer_contexts_know_more_of_their_own_text():
    text = "the cat sat on the mat and the dog sat on the log " * 4
    bits = [WittenBell(text, order).bits([text]) for order in (0, 1, 3, 5)]
    assert bits == sorted(bits, reverse=True)
    assert counted(text) is counted(text)


def test_refusals():
    with pytest.raises(FrisketError):
        WittenBell("")
    with pytest.raises(FrisketError):
        WittenBell("a", order=-1)
    with pytest.raises(FrisketError):
        WittenBell("a").bits([])

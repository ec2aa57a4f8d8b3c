import pytest

from frisket.core import FrisketError
from frisket.interop.golden import forward_difference, golden
from frisket.interop.official import load_official
from frisket.interop.prime import functions_difference


def test_official_functions():
    assert functions_difference() < 1e-5


def test_official_text_network():
    assert forward_difference("prime", num_heads=3, length=6) < 1e-5


def test_missing_arrays_and_facts_are_said(tmp_path):
    with pytest.raises(FrisketError, match="source tree"):
        functions_difference(tmp_path)
    with pytest.raises(FrisketError, match="num_heads"):
        load_official("prime", golden("prime")[0], length=6)

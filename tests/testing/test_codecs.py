from __future__ import annotations

import pytest
import torch
from broken import Lossy

from frisket.data.base import Info
from frisket.testing import check_codec

X = torch.linspace(0, 1, 48).reshape(3, 1, 4, 4)
INFO = Info(kind="image", shape=(1, 4, 4))


def test_a_sound_codec_passes():
    check_codec(Lossy(fault=""), X, INFO, error=1e-6)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [("shape", "but states"), ("batch", "depends on its batch"), ("wrong", "gives back the data to"),
     ("count", "another number of items")],
)  # fmt: skip
def test_a_broken_promise_is_named(fault, complaint):
    with pytest.raises(AssertionError, match=f"Lossy: .*{complaint}"):
        check_codec(Lossy(fault=fault), X, INFO, error=1e-6)


def test_a_decoder_that_cuts_the_graph_is_refused():
    with pytest.raises((AssertionError, RuntimeError)):
        check_codec(Lossy(fault="frozen"), X, INFO, error=1e-6)

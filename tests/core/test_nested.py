"""The network's input of a process inside a head: packed and unpacked, hidden and asked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.core.nested import hidden_tokens, hide_tokens, pack, unpack


@settings(max_examples=30, deadline=None)
@given(d=st.integers(1, 4), n=st.integers(1, 5), r=st.integers(0, 3))
def test_unpack_is_the_inverse_of_pack(d, n, r):
    shown, noisy, time = torch.randn(2, d, n), torch.randn(2, r, d, n), torch.rand(2, r, n)
    x = pack(shown, noisy, time)
    assert x.shape == (2, d + r * (d + 1), n)
    back = unpack(x, d)
    assert torch.equal(back.shown, shown.transpose(1, 2))
    assert torch.equal(back.noisy, noisy.transpose(2, 3))
    assert torch.equal(back.time, time)


def test_a_hidden_token_says_nothing_at_all():
    where = torch.tensor([[True, False, True]])
    x = hide_tokens(torch.ones(1, 2, 3), where)
    assert torch.equal(torch.isnan(x), where[:, None].expand(1, 2, 3))
    assert torch.equal(hidden_tokens(x), where)


def test_channels_that_are_no_whole_copies_are_refused():
    with pytest.raises(FrisketError, match="channels of the input"):
        unpack(torch.zeros(1, 5, 4), 3)

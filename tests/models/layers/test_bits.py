"""Bits in and groups of bits out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.base import Spec
from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.bits import Bits, GroupLogits, Groups, bits_of, width_of

SPEC = Spec(kind="ids", shape=(2, 3, 2), vocabulary=8)


def built(config):
    return build_real(lambda: config.build(6, 0))


@settings(max_examples=30, deadline=None)
@given(bits=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_lowest_bit_comes_first(bits, seed):
    ids = torch.randint(0, 2**bits, (7,), generator=torch.Generator().manual_seed(seed))
    signs = bits_of(ids, bits)
    assert bool((signs.abs() == 1).all())
    assert torch.equal(((signs > 0).long() << torch.arange(bits)).sum(-1), ids)


def test_a_hidden_group_adds_nothing_and_the_others_their_bits():
    end = built(Bits().fit(SPEC))
    x = torch.randint(0, 8, (1, 2, 3, 2))
    x[..., 1] = 8
    grid = Bits().fit(SPEC).grid_of(x)
    out = end(x, grid)
    by_hand = bits_of(x[..., 0].flatten(1), 3) @ end.linear.weight[:, :3].T + end.linear.bias
    torch.testing.assert_close(out, by_hand)
    x[..., 0] = 8
    torch.testing.assert_close(end(x, grid), end.linear.bias.expand(1, 6, 6))


def test_bits_need_fewer_weights_than_a_table():
    bits = sum(p.numel() for p in built(Bits(vocabulary=128, size=(2, 2, 2))).parameters())
    table = sum(p.numel() for p in built(Groups(vocabulary=128, size=(2, 2, 2))).parameters())
    assert (bits, table) == (14 * 6 + 6, 2 * 129 * 6)


def test_a_tables_token_is_the_sum_of_its_groups():
    end, x = built(Groups().fit(SPEC)), torch.randint(0, 9, (1, 2, 3, 2))
    flat = x.flatten(1, 2)
    torch.testing.assert_close(
        end(x, Grid.of((2, 3))), end.tables[0].weight[flat[..., 0]] + end.tables[1].weight[flat[..., 1]]
    )


def test_the_head_gives_a_softmax_a_group():
    config = GroupLogits().fit(SPEC, 8)
    head = build_real(lambda: config.build(6, Grid.of((2, 3))))
    assert head(torch.randn(4, 6, 6), Grid.of((2, 3))).shape == (4, 2, 3, 2, 8)


def test_what_does_not_fit_is_refused():
    for bad in (1, 6):
        with pytest.raises(FrisketError, match="power of two"):
            width_of(bad)
    with pytest.raises(FrisketError, match="grouped ids"):
        Bits().fit(Spec(kind="continuous", shape=(2, 3, 2)))
    with pytest.raises(FrisketError, match="groups of the state"):
        Bits().fit(SPEC).grid_of(torch.zeros(1, 2, 3, 3, dtype=torch.long))
    with pytest.raises(FrisketError, match="integer"):
        Bits().fit(SPEC).grid_of(torch.zeros(1, 2, 3, 2))
    with pytest.raises(FrisketError, match="channels"):
        Bits().build(6, 1)

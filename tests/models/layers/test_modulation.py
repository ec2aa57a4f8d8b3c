"""Modulation: zeros at first, order, and one set of numbers a distinct time."""

from __future__ import annotations

import pytest
import torch

from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import Side
from frisket.models.layers.modulation import (
    AdaLN,
    AdaLNZero,
    LowRank,
    Shared,
    Unmodulated,
    modulate,
    shared_key,
    spread,
)
from frisket.models.tokens import Tags

VECTOR = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))


def side(vector=VECTOR):
    return Side(grid=Grid.of((3,)), state=3, raw=vector, vector=vector)


@pytest.mark.parametrize("config", [AdaLNZero(), LowRank(rank=2)])
def test_zero_at_first_and_of_the_right_size(config):
    module = build_real(lambda: config.build(5, 4, 6))
    assert torch.equal(module(side()), torch.zeros(2, 24))
    assert config.build_shared(5, 4, 6) is None


def test_low_rank_has_its_rank():
    module = build_real(lambda: LowRank(rank=2).build(5, 4, 6))
    torch.nn.init.normal_(module.up.weight, generator=torch.Generator().manual_seed(1))
    many = torch.randn(30, 5, generator=torch.Generator().manual_seed(2))
    assert torch.linalg.matrix_rank(module(side(many)).detach()) == 2


def test_shared_is_one_layer_plus_offsets():
    layer = build_real(lambda: Shared().build_shared(5, 4, 6))
    blocks = [build_real(lambda: Shared().build(5, 4, 6), prefix=f"{i}.") for i in range(2)]
    travelling = side()
    travelling.shared[shared_key(Shared(), 6)] = layer(VECTOR)
    first, second = (block(travelling) for block in blocks)
    torch.testing.assert_close(first - second, (blocks[0].table - blocks[1].table).expand(2, -1))
    torch.testing.assert_close(first, layer(VECTOR) + blocks[0].table)


def test_none_is_none():
    assert Unmodulated().build(5, 4, 6)(side()) is None


def test_each_token_picks_the_numbers_of_its_time():
    numbers = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    tags = Tags(n=5, time=torch.tensor([[0, 0, 2, 1, 1], [2, 2, 2, 0, 1]]))
    got = spread(numbers, tags)
    assert torch.equal(got[0], numbers[0, [0, 0, 2, 1, 1]])
    assert torch.equal(got[1], numbers[1, [2, 2, 2, 0, 1]])
    assert torch.equal(spread(numbers[:, 0], tags), numbers[:, :1])


def test_modulate():
    x, shift, scale = torch.randn(3, 2, 3, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(modulate(x, shift, scale), x * (1 + scale) + shift)
    torch.testing.assert_close(modulate(x, None, scale), x * (1 + scale))
    torch.testing.assert_close(modulate(x, shift, None), x + shift)
    assert modulate(x, None, None) is x


def test_torchs_own_start_is_uniform_by_the_fan_in():
    module = build_real(lambda: AdaLN().build(64, 8, 6))
    for value in module.state_dict().values():
        assert 0.1 < float(value.abs().max()) <= 64**-0.5
        assert float(value.std()) == pytest.approx(64**-0.5 / 3**0.5, rel=0.25)
    assert AdaLN().build_shared(5, 4, 6) is None

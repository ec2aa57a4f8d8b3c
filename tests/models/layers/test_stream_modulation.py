"""Two sets of numbers, the second for tokens that are not the state's."""

from __future__ import annotations

import torch

from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import Side
from frisket.models.layers.modulation import spread
from frisket.models.layers.stream_modulation import ByStream
from frisket.models.tokens import Tags

GRID = Grid(axes=(3,), patch=(1,))
STREAM = torch.tensor([0, 0, 1])


def side(vector):
    return Side(grid=GRID, state=2, raw=torch.zeros(len(vector), 1, 3), vector=vector)


def test_it_starts_at_zero():
    module = build_real(lambda: ByStream().build(4, 5, 3))
    assert module.linear.weight.shape == (30, 4)
    assert module.linear.weight.abs().max() == 0
    assert ByStream().build_shared(4, 5, 3) is None


def test_the_first_half_is_the_states_and_the_second_the_others():
    module = ByStream().build(4, 2, 1)
    torch.nn.init.normal_(module.linear.weight, generator=torch.Generator().manual_seed(0))
    vector = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    numbers = module(side(vector))
    plain = module.linear(vector)
    assert numbers.shape == (2, 2, 1, 2)
    out = spread(numbers, Tags(n=3, stream=STREAM))
    torch.testing.assert_close(out, torch.stack([plain[:, :2], plain[:, :2], plain[:, 2:]], 1))


def test_each_token_takes_its_own_time_of_its_own_set():
    module = ByStream().build(4, 2, 1)
    torch.nn.init.normal_(module.linear.weight, generator=torch.Generator().manual_seed(0))
    vectors = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))  # three distinct times
    plain = module.linear(vectors)
    time = torch.tensor([[2, 0, 1], [1, 1, 2]])
    out = spread(module(side(vectors)), Tags(n=3, stream=STREAM, time=time))
    for b in range(2):
        for n in range(3):
            half = slice(2, 4) if STREAM[n] else slice(0, 2)
            assert torch.equal(out[b, n], plain[b, time[b, n], half])

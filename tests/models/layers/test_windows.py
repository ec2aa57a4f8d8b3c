"""Windows against the same rule as a dense mask."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import Dispatch, FrisketError, from_config, to_config
from frisket.models.attend import lower
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.positions import RelativeBias, Rotary
from frisket.models.layers.windows import Windows, cut_of, window_order
from frisket.models.masks.local import Partition
from frisket.models.tokens import Tokens

WIDTH = 8


def sizes(grid):
    return Sizes(width=WIDTH, heads=2, condition=WIDTH, grid=grid)


def tokens(grid, b=2, seed=0):
    h = torch.randn(b, grid.tokens, WIDTH, generator=torch.Generator().manual_seed(seed))
    return Tokens.of(h, coords=grid.coords(), extent=grid.axes)


def call(grid, h, positions=None):
    return BranchCall(Side(grid=grid, state=grid.tokens, raw=h), Dispatch(object()), "", positions)


def built(config, grid):
    return build_real(lambda: config.build(sizes(grid)))


def run(module, grid, given, positions=None):
    return module(given, call(grid, given.h, positions))


def filled(grid, size, shift, **attention):
    """A window mixer and dense attention under the same rule, with the same weights."""
    windows = built(Windows(size=size, shift=shift, attention=Attention(**attention)), grid)
    back = tuple(-float(s) for s in shift) if isinstance(shift, tuple) else -float(shift)
    dense = built(Attention(mask=Partition(size=size, shift=back), **attention), grid)
    dense.load_state_dict(windows.inner.state_dict())
    return windows, dense


@pytest.mark.parametrize(
    ("axes", "size", "shift"),
    [((8, 8), 4, 0), ((8, 8), 4, 2), ((4, 6), (2, 3), (1, 1)), ((2, 4, 4), 2, 1), ((2, 4, 4), (1, 2, 2), (0, 1, 1)),
     ((6,), 3, 1), ((4, 4), 4, 2)],
)  # fmt: skip
def test_windows_are_the_partition_mask(axes, size, shift):
    grid = Grid.of(axes)
    windows, dense = filled(grid, size, shift)
    given = tokens(grid)
    torch.testing.assert_close(run(windows, grid, given), run(dense, grid, given), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positions", [Rotary(), RelativeBias(std=1.0)])
def test_positions_are_those_of_the_grid(positions):
    grid = Grid.of((4, 4))
    windows, dense = filled(grid, 2, 1)
    placing = build_real(lambda: positions.build(sizes(grid))).placing
    given = tokens(grid)
    torch.testing.assert_close(
        run(windows, grid, given, placing), run(dense, grid, given, placing), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("shift", [0, 2])
def test_gradients_are_those_of_the_dense_rule(shift):
    grid = Grid.of((8, 8))
    windows, dense = filled(grid, 4, shift)
    given = tokens(grid)
    for module in (windows, dense):
        run(module, grid, given).square().sum().backward()
    theirs = dict(dense.named_parameters())
    for name, p in windows.inner.named_parameters():
        torch.testing.assert_close(p.grad, theirs[name].grad, rtol=1e-4, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=3))
def test_rolling_and_rolling_back_is_the_identity(drawn):
    grid = Grid.of(tuple(n * p for n, p, _ in drawn))
    size, shift = tuple(p for _, p, _ in drawn), tuple(min(s, p - 1) for _, p, s in drawn)
    given = tokens(grid)
    cut = cut_of(given, grid, size, shift)
    assert torch.equal(cut.unlay(cut.lay(given.h).h, 2), given.h)
    assert torch.equal(cut.order.sort().values, torch.arange(grid.tokens))
    if not any(shift):  # every window is one box of the grid
        boxes = (grid.coords()[cut.order] // torch.tensor(size)).reshape(-1, cut.tags.n, len(size))
        assert torch.equal(boxes, boxes[:, :1].expand_as(boxes))


def test_a_shifted_cut_hides_as_many_pairs_as_swins():
    grid = Grid.of((8, 8))
    cut = cut_of(tokens(grid, b=1), grid, 4, 2)
    mask = Partition(size=4, shift=-2.0)
    hidden = (~lower(mask, cut.tags, cut.tags, 4, torch.device("cpu")).allowed).sum((1, 2, 3))
    assert hidden.tolist() == [0, 128, 128, 192]
    plain = cut_of(tokens(grid, b=1), grid, 4)
    assert lower(Partition(size=4), plain.tags, plain.tags, 4, torch.device("cpu")).allowed is None


def test_a_window_of_one_token_mixes_nothing():
    grid = Grid.of((3, 3))
    module, given = built(Windows(size=1), grid), tokens(grid)
    _, _, v = module.inner.qkv(given.h).chunk(3, -1)
    torch.testing.assert_close(run(module, grid, given), module.inner.inner.out(v))


def test_another_batch_and_another_grid_come_after_the_first():
    module = built(Windows(size=2, shift=1), Grid.of((4, 4)))
    for axes, b in (((4, 4), 2), ((4, 4), 3), ((2, 6), 1)):
        grid = Grid.of(axes)
        alone = torch.cat([run(module, grid, Tokens(row.h, row.tags)) for row in rows(tokens(grid, b))])
        torch.testing.assert_close(run(module, grid, tokens(grid, b)), alone)


def rows(given):
    return [Tokens(h[None], given.tags) for h in given.h]


def test_order_follows_windows_then_places():
    grid = Grid.of((2, 4))
    assert window_order(grid, 2).tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert window_order(grid, 2, (0, 1)).tolist() == [1, 2, 5, 6, 3, 0, 7, 4]


def test_what_does_not_fit_is_refused():
    grid = Grid.of((4, 6))
    with pytest.raises(FrisketError, match="divide"):
        built(Windows(size=4), grid)
    module = built(Windows(size=2), grid)
    with pytest.raises(FrisketError, match="divide"):
        run(module, Grid.of((3, 4)), tokens(Grid.of((3, 4))))
    some = tokens(grid).take(torch.arange(8).expand(2, -1))
    with pytest.raises(FrisketError, match="whole grid"):
        run(module, grid, some)
    for wrong in ({"size": 0}, {"shift": 4}, {"shift": -1}, {"size": (2, 2), "shift": (1, 1, 1)}):
        with pytest.raises(FrisketError):
            Windows(**wrong)


def test_configs_round_trip():
    config = Windows(size=(1, 2, 2), shift=(0, 1, 1), attention=replace(Attention(), heads=2))
    assert from_config(to_config(config)) == config

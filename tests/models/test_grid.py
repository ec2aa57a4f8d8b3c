"""Patches: nothing lost, orders as documented."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.models.grid import Grid


@st.composite
def grids(draw):
    pairs = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3))
    return Grid(axes=tuple(a for a, _ in pairs), patch=tuple(p for _, p in pairs))


@settings(max_examples=40, deadline=None)
@given(grids())
def test_patches_hold_the_state_and_give_it_back(grid):
    x = torch.arange(6 * torch.Size(grid.size).numel(), dtype=torch.float32).reshape(2, 3, *grid.size)
    features = grid.patchify(x)
    assert features.shape == (2, grid.tokens, x[0].numel() // grid.tokens)
    # from (channel, place) to the (place, channel) order that unpatchify reads
    again = features.unflatten(-1, (3, -1)).transpose(-1, -2).flatten(-2)
    assert torch.equal(grid.unpatchify(again), x)


@settings(max_examples=40, deadline=None)
@given(grids())
def test_coords_are_places_in_raster_order(grid):
    coords = grid.coords()
    strides = torch.tensor([torch.Size(grid.axes[i + 1 :]).numel() for i in range(len(grid.axes))], dtype=coords.dtype)
    assert torch.equal((coords * strides).sum(-1), torch.arange(grid.tokens, dtype=coords.dtype))
    assert torch.equal(coords.amax(0), torch.tensor(grid.axes, dtype=coords.dtype) - 1)


def test_patchify_is_the_convolution():
    g = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 3, 4, 6, generator=g), torch.randn(5, 3, 2, 3, generator=g)
    wanted = torch.nn.functional.conv2d(x, weight, stride=(2, 3)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(Grid.of((4, 6), (2, 3)).patchify(x) @ weight.flatten(1).T, wanted)


def test_unpatchify_reads_row_then_column_then_channel():
    features = torch.arange(8.0).reshape(1, 1, 8)
    state = Grid.of((2, 2), 2).unpatchify(features)
    assert state.tolist() == [[[[0.0, 2.0], [4.0, 6.0]], [[1.0, 3.0], [5.0, 7.0]]]]


def test_ids_fold_back():
    grid, ids = Grid.of((3, 4)), torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(grid.fold(grid.flatten(ids)), ids)
    assert grid.fold(torch.zeros(2, 12, 7)).shape == (2, 3, 4, 7)


def test_per_token_is_the_mean_of_the_patch():
    grid, t = Grid.of((4, 4), 2), torch.arange(12.0).reshape(3, 1, 2, 2)
    wide = t.repeat_interleave(2, 2).repeat_interleave(2, 3)
    wide[..., 0, 0] += 4.0
    wanted = t.flatten(1) + torch.tensor([1.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(grid.per_token(wide), wanted)
    assert torch.equal(grid.per_token(torch.full((3, 1, 1, 1), 0.25)), torch.full((3, 4), 0.25))


@pytest.mark.parametrize(("size", "patch"), [((8, 8), 3), ((8,), (2, 2)), ((8, 6), (2, 4)), ((4,), 0)])
def test_a_patch_that_does_not_divide_is_refused(size, patch):
    with pytest.raises(FrisketError, match="patch"):
        Grid.of(size, patch)


def test_a_state_of_another_size_is_refused():
    with pytest.raises(FrisketError, match=r"\(4, 4\) does not fit a grid of size \(8, 8\)"):
        Grid.of((8, 8), 2).patchify(torch.zeros(1, 1, 4, 4))

"""Ends and ways between resolutions against torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.convolutions import ConvolutionIn, ConvolutionOut, Merge, Split, as_map, as_tokens, plane
from frisket.models.tokens import Tokens

GRID = Grid.of((4, 6))
G = torch.Generator().manual_seed(0)
H = torch.randn(2, 24, 8, generator=G)


def test_maps_and_tokens_are_the_same_numbers():
    assert torch.equal(as_tokens(as_map(H, GRID.axes)), H)
    assert torch.equal(as_map(H, GRID.axes)[:, :, 1, 2], H[:, 8])


def test_a_part_of_the_plane_is_refused():
    tokens = Tokens.of(H)
    with pytest.raises(FrisketError, match="whole grid"):
        as_map(H[:, :5], GRID.axes)
    with pytest.raises(FrisketError, match="in order"):
        plane(tokens.take(torch.arange(24).flip(0).expand(2, -1)), GRID.axes)
    assert torch.equal(plane(tokens, GRID.axes), as_map(H, GRID.axes))


def test_merging_is_a_convolution_and_pixel_unshuffle():
    module = build_real(lambda: Merge(8, 16))
    out = module(H, GRID)
    assert out.shape == (2, 6, 16)
    wanted = functional.conv2d(as_map(H, GRID.axes), module.conv.weight, padding=1)
    torch.testing.assert_close(as_map(out, (2, 3)), functional.pixel_unshuffle(wanted, 2))
    with pytest.raises(FrisketError, match="multiple of 4"):
        Merge(8, 6)


def test_splitting_is_a_convolution_and_pixel_shuffle():
    module = build_real(lambda: Split(8, 4))
    out = module(H, GRID)
    assert out.shape == (2, 96, 4)
    wanted = functional.conv2d(as_map(H, GRID.axes), module.conv.weight, padding=1)
    torch.testing.assert_close(as_map(out, (8, 12)), functional.pixel_shuffle(wanted, 2))


def test_the_ends():
    spec = Spec(kind="continuous", shape=(3, 4, 6))
    ends = ConvolutionIn().fit(spec), ConvolutionOut(unused=1).fit(spec, 2)
    assert ends[0].grid == GRID
    x = torch.randn(2, 3, 4, 6, generator=G)
    first, last = build_real(lambda: ends[0].build(8, 0)), build_real(lambda: ends[1].build(8, GRID))
    wanted = functional.conv2d(x, first.conv.weight, first.conv.bias, padding=1)
    torch.testing.assert_close(as_map(first(x, GRID), GRID.axes), wanted)
    assert torch.equal(last(H, GRID), torch.zeros(2, 2, 4, 6))
    assert last.conv.weight.shape == (3, 8, 3, 3)
    assert ends[0].build(8, 2).conv.in_channels == 5


def test_what_is_no_image_is_refused():
    with pytest.raises(FrisketError, match="images"):
        ConvolutionIn().fit(Spec(kind="continuous", shape=(3, 8)))
    with pytest.raises(FrisketError, match="channels"):
        ConvolutionIn(channels=3).grid_of(torch.zeros(1, 1, 8, 8))
    with pytest.raises(FrisketError, match="axes"):
        ConvolutionIn().grid_of(torch.zeros(1, 1, 8))
    for wrong in (ConvolutionIn, ConvolutionOut):
        with pytest.raises(FrisketError, match="side"):
            wrong(side=2)

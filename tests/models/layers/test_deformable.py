"""Deformable attention against the official core, and in cases that can be told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.models.backbones.queries.pixels import centres
from frisket.models.init import build_real
from frisket.models.layers.deformable import DeformableAttention, Star, sample_maps

GOLDEN = Path(__file__).parents[2] / "golden" / "mask2former_layers.npz"
SIZES = [(6, 4), (3, 2)]


def golden():
    with np.load(GOLDEN, allow_pickle=False) as held:
        return {k: torch.from_numpy(held[k]) for k in held.files}


def test_what_is_read_is_what_the_official_core_reads():
    g = golden()
    got = sample_maps(g["values"], SIZES, g["where"], g["weights"])
    torch.testing.assert_close(got, g["read"], rtol=1e-5, atol=1e-5)


def test_the_order_of_maps_would_be_noticed():
    g = golden()
    turned = sample_maps(g["values"], SIZES, g["where"].flip(3), g["weights"])
    assert (turned - g["read"]).abs().max() > 0.1


def test_a_point_on_a_cells_centre_reads_that_cell():
    values = torch.arange(30, dtype=torch.float32).view(1, 30, 1, 1)  # maps 6x4 and 3x2 behind each other
    where = centres(SIZES[0]).view(1, 24, 1, 1, 1, 2).expand(1, 24, 1, 2, 1, 2)
    only_first = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2, 1).expand(1, 24, 1, 2, 1)
    torch.testing.assert_close(sample_maps(values, SIZES, where, only_first)[0, :, 0], torch.arange(24.0))


def test_points_outside_read_zero():
    values = torch.ones(1, 30, 2, 3)
    where = torch.full((1, 5, 2, 2, 4, 2), 2.0)
    assert bool((sample_maps(values, SIZES, where, torch.full((1, 5, 2, 2, 4), 0.125)) == 0).all())


def test_offsets_start_as_a_star_on_squares():
    value = torch.empty(8 * 3 * 4 * 2)
    Star(8, 3, 4).fill(value, torch.Generator())
    star = value.view(8, 3, 4, 2)
    assert torch.equal(star[:, 0], star[:, 2])
    torch.testing.assert_close(star.abs().amax(-1), torch.arange(1.0, 5).expand(8, 3, 4))
    torch.testing.assert_close(star[0, 0, 1], torch.tensor([2.0, 0.0]))  # the first head looks to the right
    torch.testing.assert_close(star[2, 0, 0], torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)


def test_equal_cells_give_their_own_value_wherever_points_fall_inside():
    layer = build_real(lambda: DeformableAttention(8, 2, 2, 4))
    cells = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(0)).expand(2, 30, 8)
    places = torch.full((5, 2), 0.5)
    with torch.no_grad():
        layer.offsets.bias.mul_(0.01)  # or the star leaves the maps
        got = layer(torch.randn(2, 5, 8), cells, places, SIZES)
        wanted = layer.out(layer.value(cells[:, :5]))
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_everything_learns():
    layer = build_real(lambda: DeformableAttention(8, 2, 2, 2))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
    q, cells = torch.randn(2, 5, 8, generator=generator), torch.randn(2, 30, 8, generator=generator)
    layer(q, cells, torch.full((5, 2), 0.4), SIZES).square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in layer.parameters())


def test_heads_must_divide_the_width():
    with pytest.raises(FrisketError, match="heads = 3"):
        DeformableAttention(8, 3, 2)

"""Pixel decoders: what they give, and that every map reaches every other."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.backbones.queries.pixels import Deformable, Pyramid, centres
from frisket.models.init import build_real
from frisket.testing.backbones import stir

CHANNELS = (8, 12, 16, 20)
GENERATOR = torch.Generator().manual_seed(0)


def maps():
    return [torch.randn(2, c, 16 // 2**i, 8 // 2**i, generator=GENERATOR) for i, c in enumerate(CHANNELS)]


@pytest.mark.parametrize("config", [Deformable(layers=1), Deformable(levels=2), Pyramid(), Pyramid(levels=1)])
def test_pixels_are_of_the_finest_map_and_memory_is_coarsest_first(config):
    out = build_real(lambda: config.build(CHANNELS, 16, 2))(maps())
    assert out.pixels.shape == (2, 16, 16, 8)
    wanted = [(2, 16, 16 // 2**i, 8 // 2**i) for i in (3, 2, 1)][: config.levels]
    assert [tuple(m.shape) for m in out.memory] == wanted


@pytest.mark.parametrize("config", [Deformable(layers=2), Pyramid()])
def test_every_weight_learns(config):
    model = build_real(lambda: config.build(CHANNELS, 16, 2))
    stir(model, 0.2)
    out = model(maps())
    (out.pixels.square().mean() + sum(m.square().mean() for m in out.memory)).backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


def test_deformable_attention_carries_the_fine_maps_to_the_coarse_one_and_a_pyramid_does_not():
    given = maps()
    changed = [*given[:2], given[2] + 1.0, given[3]]
    moved = {}
    for config in (Deformable(layers=1), Pyramid()):
        model = build_real(lambda config=config: config.build(CHANNELS, 16, 2))
        stir(model, 0.3)
        with torch.no_grad():
            moved[type(config)] = float((model(given).memory[0] - model(changed).memory[0]).abs().max())
    assert moved[Deformable] > 1e-3
    assert moved[Pyramid] == 0


def test_centres_are_x_then_y_in_raster_order():
    assert centres((2, 2)).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


@pytest.mark.parametrize("config", [Deformable(levels=5), Pyramid(levels=5)])
def test_more_levels_than_maps_are_refused(config):
    with pytest.raises(FrisketError, match="pixels.levels = 5"):
        config.build(CHANNELS, 16, 2)


@pytest.mark.parametrize(("field", "part"), [("layers", Deformable), ("points", Deformable), ("levels", Pyramid)])
def test_nothing_of_a_part_is_refused(field, part):
    with pytest.raises(FrisketError, match=f"pixels.{field}"):
        part(**{field: 0})

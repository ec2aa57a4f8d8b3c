import math
from dataclasses import replace

import pytest
import torch
from sampling_fakes import tiny_pipeline

from frisket.caching.tile_choices import Growing, Near
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile
from frisket.data.digits import Digits
from frisket.evaluation.scores.tile_skips import TileSkipping, final_states


def scored(choice):
    pipeline = tiny_pipeline(size=16)
    cache = TileSkips(choice=choice, tile=Tile(queries=8, keys=8))
    pipeline.sampler = replace(pipeline.sampler, caches=(cache,))
    return TileSkipping().take(pipeline, Digits(), 3, 0)


def test_without_caches_nothing_differs():
    pipeline = tiny_pipeline(size=16)
    found = TileSkipping().take(pipeline, Digits(), 3, 0)
    assert found == {"tile_error": 0.0, "tile_density": 1.0, "first_density": 1.0, "last_density": 1.0}
    assert set(found) == set(TileSkipping.gives)


def test_marks_that_skip_nothing_have_no_error():
    assert scored(Growing(threshold=-math.inf))["tile_error"] == 0.0


def test_fewer_tiles_lie_further_away():
    half, quarter = (scored(Near(density=density)) for density in (0.5, 0.25))
    assert half["tile_density"] == 0.5
    assert quarter["first_density"] == quarter["last_density"] == 0.25
    assert 0 < half["tile_error"] < quarter["tile_error"]


def test_states_are_the_pipelines_own():
    pipeline = tiny_pipeline(size=16)
    states, densities = final_states(pipeline, 3, 5)
    assert len(densities) == pipeline.sampler.steps
    torch.testing.assert_close(pipeline.decode(states), pipeline.sample(3, seed=5, **pipeline.in_turn(3)))
    assert densities == pytest.approx([1.0] * 4)

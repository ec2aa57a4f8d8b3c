from dataclasses import replace

from sampling_fakes import tiny_pipeline

from frisket.caching.tile_choices import Near
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile
from frisket.data.digits import Digits
from frisket.evaluation.looks.tile_skips import TileDensities


def test_shows_densities_and_samples_beside_the_dense_ones(tmp_path):
    pipeline = tiny_pipeline(size=16)
    cache = TileSkips(choice=Near(density=0.5), tile=Tile(queries=8, keys=8))
    pipeline.sampler = replace(pipeline.sampler, caches=(cache,))
    sections, numbers = TileDensities(shown=2).sections(pipeline, Digits(), 3, tmp_path)
    assert numbers["tile_skips"]["densities"] == [0.5] * 4
    assert numbers["tile_skips"]["tile_error"] > 0
    assert "50.0% of the tiles" in sections[0].text
    assert len(sections[0].figures) == len(sections[1].figures) == 1

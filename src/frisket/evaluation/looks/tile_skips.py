"""Tile skips to look at: the share of attention tiles computed at each step, and samples beside those of the dense run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.plots import Line, chart, image_table
from frisket.evaluation.report import Section
from frisket.evaluation.scores.tile_skips import TileSkipping, final_states
from frisket.sampling.pipeline import Pipeline


@register("look/tile-densities")
@dataclass(frozen=True, kw_only=True)
class TileDensities:
    """shown: samples of each kind."""

    shown: int = 8

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        states, densities = final_states(pipeline, min(self.shown, n), 1)
        plain = Pipeline(
            pipeline.model, pipeline.process, pipeline.codec, replace(pipeline.sampler, caches=()), pipeline.info,
            pipeline.others,
        )  # fmt: skip
        dense, _ = final_states(plain, min(self.shown, n), 1)
        found = TileSkipping().take(pipeline, data, n, 0)
        line = Line(name="tiles computed", x=list(range(1, len(densities) + 1)), y=densities)
        figure = chart([line], x_label="step", y_label="share of tiles",
                       caption="Share of attention tiles computed at each step, all layers and heads together.")  # fmt: skip
        rows = [("dense", list(pipeline.decode(dense))), ("with skips", list(pipeline.decode(states)))]
        text = (
            f"{found['tile_density']:.1%} of the tiles were computed in the whole run; samples lie {found['tile_error']:.2%} "
            "(relative distance of final states) from those of dense attention with the same noise."
        )
        return [
            Section(title="Attention tiles", text=text, figures=(figure,)),
            Section(title="Samples", figures=(image_table(rows),)),
        ], {"tile_skips": {**found, "densities": densities}}

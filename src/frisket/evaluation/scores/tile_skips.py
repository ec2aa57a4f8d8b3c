"""How far skipped attention tiles move samples, and how many were computed.

The same samples (seed by seed) are made with the sampler's caches and without them.
Shapes: n samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@register("score/tile-skips")
@dataclass(frozen=True, kw_only=True)
class TileSkipping:
    """tile_error: mean over samples of the final states' relative distance to those of the run without caches, 0 where
    there are none. tile_density: share of tiles computed in the whole run; first_density, last_density: in its first
    and last step."""

    gives: ClassVar[tuple[str, ...]] = ("tile_error", "tile_density", "first_density", "last_density")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        states, densities = final_states(pipeline, n, seed)
        plain = pipeline
        if pipeline.sampler.caches:
            plain = Pipeline(
                pipeline.model, pipeline.process, pipeline.codec, replace(pipeline.sampler, caches=()), pipeline.info,
                pipeline.others,
            )  # fmt: skip
        wanted, _ = final_states(plain, n, seed)
        error = (states - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
        return {
            "tile_error": float(error.mean()), "tile_density": sum(densities) / len(densities),
            "first_density": densities[0], "last_density": densities[-1],
        }  # fmt: skip


def final_states(pipeline: Pipeline, n: int, seed: int) -> tuple[Float[Tensor, "n ..."], list[float]]:
    """The states at t = 0 of n samples, and each step's share of computed tiles (1 without tile skips)."""
    last = None
    with torch.no_grad():
        for last in pipeline.snapshots(n, seed=seed, **pipeline.in_turn(n)):
            pass
    assert last is not None
    found = [report.densities for report in last.reports if hasattr(report, "densities")]
    return last.x, found[0] if found else [1.0] * last.total

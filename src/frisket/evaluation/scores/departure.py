"""Departure: how far a changed model's samples lie from those of the model it was made of, noise for noise.

The relative error ||z - z'|| / ||z'|| of the states at the end of the sampler, z' the start's, a mean over samples
(arXiv 2412.02852 optimises its square on latents). Only a deterministic sampler makes it a distance between models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@register("score/departure")
@dataclass(frozen=True, kw_only=True)
class Departure:
    """Over n samples, classes in turn, by the changed pipeline's own sampler and codec."""

    gives: ClassVar[tuple[str, ...]] = ("departure",)

    def beside(self, pipeline: Pipeline, start: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """`departure`: at least 0; 0 for equal models. Raises `FrisketError` on states of ids."""
        check(pipeline.spec.kind == "continuous", "score/departure: states", pipeline.spec.kind, "continuous")
        before = Pipeline(start.model, pipeline.process, pipeline.codec, pipeline.sampler, pipeline.info, start.others)
        ours, theirs = (_states(p, n, seed) for p in (pipeline, before))
        gap = (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)
        return {"departure": float(gap.mean())}


@torch.no_grad()
def _states(pipeline: Pipeline, n: int, seed: int, batch: int = 64) -> Tensor:
    """The final states of n samples."""
    out = []
    for low in range(0, n, batch):
        count = min(batch, n - low)
        last = None
        for last in pipeline.snapshots(count, seed=seed, first=low, **pipeline.in_turn(count, low)):
            pass
        assert last is not None
        out.append(last.x)
    return torch.cat(out)

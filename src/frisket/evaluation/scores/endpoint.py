"""How far a run ends from where the flow leads: the end of a run of many small steps from the same noise.

So fewer steps, sparser steps and caches are all measured against the same point, at the cost that each really had.
Shapes: n samples, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.scores.dense import relative_distance, share
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.solvers.euler import Euler

BATCH = 64


@register("score/endpoint")
@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """endpoint_distance: mean over samples of the relative L2 distance to the end of `steps` Euler steps with the same
    guidance. endpoint_forwards: forwards of one sample, each counted by its share of a full one's multiply-adds."""

    gives: ClassVar[tuple[str, ...]] = ("endpoint_distance", "endpoint_forwards")
    steps: int = 60

    def __post_init__(self):
        check(self.steps >= 1, "score.steps", self.steps, "at least 1")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        aim = replace(pipeline.sampler, steps=self.steps, update=Euler(), caches=())
        exact = Pipeline(pipeline.model, pipeline.process, pipeline.codec, aim, pipeline.info, pipeline.others)
        exact.coder = pipeline.coder
        apart, passes = [], 0.0
        for first in range(0, n, BATCH):
            count = min(BATCH, n - first)
            classes = pipeline.in_turn(count, first)
            *_, own = pipeline.snapshots(count, seed=seed, first=first, **classes)
            *_, end = exact.snapshots(count, seed=seed, first=first, **classes)
            apart.append(relative_distance(own.x, end.x))
            passes += own.forwards * share(own)
        return {"endpoint_distance": float(torch.cat(apart).mean()), "endpoint_forwards": passes / n}

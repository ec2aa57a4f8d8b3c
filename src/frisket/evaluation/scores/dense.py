"""How far a run that spares compute ends from the full run of the same noise, and what share of its compute it spends.

The full run is the same sampler without caches, at `steps` steps; so a run of fewer steps is scored like a cached one.
Shapes: n samples, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.sampling.base import Snapshot
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

BATCH = 64


@register("score/dense")
@dataclass(frozen=True, kw_only=True)
class Dense:
    """dense_distance: mean over samples of the relative L2 distance of final states. compute: multiply-adds, as a share
    of the full run's; caches are believed. full_forwards: forwards of one sample that computed everything. steps: of
    the full run."""

    gives: ClassVar[tuple[str, ...]] = ("dense_distance", "compute", "full_forwards")
    steps: int = 50

    def __post_init__(self):
        check(self.steps >= 1, "score.steps", self.steps, "at least 1")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        full = replace(pipeline.sampler, steps=self.steps, caches=())
        apart, spent, dense, whole = [], 0.0, 0.0, []
        for own, reference in zip(_ends(pipeline, None, n, seed), _ends(pipeline, full, n, seed), strict=True):
            apart.append(relative_distance(own.x, reference.x))
            spent += own.forwards * share(own)
            dense += reference.forwards
            whole.append(_full(own))
        distance = float(torch.cat(apart).mean())
        return {"dense_distance": distance, "compute": spent / dense, "full_forwards": sum(whole) / len(whole)}


def relative_distance(x: Float[Tensor, "n *s"], reference: Float[Tensor, "n *s"]) -> Float[Tensor, "n"]:
    """The L2 distance of each row, relative to the reference's L2 norm."""
    return (x - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)


def share(end: Snapshot) -> float:
    """The share of a run's multiply-adds that was done; what several caches save adds up."""
    return 1.0 - sum(1.0 - report.share for report in end.reports)


def _ends(pipeline: Pipeline, sampler: Sampler | None, n: int, seed: int) -> Iterator[Snapshot]:
    """The last snapshot of each batch of the pipeline's own sampler, or another; classes in turn."""
    other = Pipeline(
        pipeline.model, pipeline.process, pipeline.codec, sampler or pipeline.sampler, pipeline.info, pipeline.others
    )
    other.coder = pipeline.coder
    for first in range(0, n, BATCH):
        count = min(BATCH, n - first)
        *_, end = other.snapshots(count, seed=seed, first=first, **pipeline.in_turn(count, first))
        yield end


def _full(end: Snapshot) -> float:
    """Full forwards of one batch; every forward is one where no cache stands."""
    rows = end.forwards / len(end.x)
    return rows * share_full(end)


def share_full(end: Snapshot) -> float:
    """The share of forwards in which no cache answered anything."""
    if not end.reports:
        return 1.0
    each = zip(*(report.forwards for report in end.reports), strict=True)
    whole = [all(forward.full for forward in together) for together in each]
    return sum(whole) / len(whole)

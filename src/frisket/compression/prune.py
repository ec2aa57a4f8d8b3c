"""From scores to edits, and the preparations that prune a trained pipeline by a ranking before it recovers.

The counts are exact, so that every ranking is compared at the same number of parameters (blocks are alike; so are the
units of one kind).
Shapes: m blocks, u units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.compression.depth import RemoveBlocks
from frisket.compression.importance import Bench, BlockRanking, Interval, Magnitude, UnitRanking
from frisket.compression.width import RemoveUnits, cuts_of
from frisket.core.edits import apply_edits
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.models.numbering import blocks_of
from frisket.sampling.pipeline import Pipeline

Scope = Literal["local", "global"]
KINDS = {"attend": "heads", "hidden": "hidden"}


@register("prepare/remove_blocks")
@dataclass(frozen=True, kw_only=True)
class PruneBlocks:
    """Removes the `remove` blocks that `by` scores lowest."""

    by: BlockRanking = Interval()
    remove: int = 1

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The pipeline with those blocks removed, in place. Raises `FrisketError` if none would be left."""
        depth = len(blocks_of(pipeline.model))
        check(1 <= self.remove < depth, "prepare.remove", self.remove, f"between 1 and {depth - 1}")
        pipeline.model.eval()
        scores = self.by.blocks(Bench(pipeline=pipeline, data=data, seed=seed), self.remove)
        gone = tuple(sorted(int(i) for i in scores.argsort(stable=True)[: self.remove]))
        apply_edits(pipeline.model, [RemoveBlocks(indices=gone)])
        return pipeline


@register("prepare/remove_units")
@dataclass(frozen=True, kw_only=True)
class PruneUnits:
    """Removes the shares `heads` of all heads and `hidden` of all hidden units that `by` scores lowest. scope: ranked
    over the whole model ("global") or in each branch ("local")."""

    by: UnitRanking = Magnitude()
    heads: float = 0.25
    hidden: float = 0.25
    scope: Scope = "global"

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The pipeline with those units removed, in place."""
        pipeline.model.eval()
        scores = self.by.units(Bench(pipeline=pipeline, data=data, seed=seed))
        removed = lowest_units(scores, {"heads": self.heads, "hidden": self.hidden}, self.scope)
        apply_edits(pipeline.model, [edit_of(removed, pipeline)])
        return pipeline


def edit_of(removed: Mapping[str, Tensor], pipeline: Pipeline) -> RemoveUnits:
    """The edit for units given by site."""
    return cuts_of({site: units.tolist() for site, units in removed.items()}, pipeline.model)


def lowest_units(
    scores: Mapping[str, Float[Tensor, "u"]], shares: Mapping[str, float], scope: Scope
) -> dict[str, Tensor]:
    """Site -> the units that go: of each kind of unit the share with the lowest scores, rounded down; equal scores go
    from the last. Raises `FrisketError` on a share outside [0, 1)."""
    for name, share in shares.items():
        check(0 <= share < 1, f"share of {name}", share, "at least 0 and below 1")
    out: dict[str, Tensor] = {}
    for kind, name in KINDS.items():
        own = {site: value for site, value in scores.items() if site.endswith(f".{kind}")}
        sets = [own] if scope == "global" else [{site: value} for site, value in own.items()]
        for group in sets:
            out |= _lowest(group, shares.get(name, 0.0))
    return out


def _lowest(group: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The lowest share of all units of several sites."""
    if not group:
        return {}
    joined = torch.cat([value.float().cpu() for value in group.values()])
    count = int(len(joined) * share + 1e-9)
    gone = torch.zeros(len(joined), dtype=torch.bool)
    gone[joined.argsort(descending=True, stable=True)[len(joined) - count :]] = True
    parts = gone.split([len(value) for value in group.values()])
    return {site: part.nonzero().flatten() for site, part in zip(group, parts, strict=True)}

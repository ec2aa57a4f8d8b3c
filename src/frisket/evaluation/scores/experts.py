"""How evenly experts are used, and what they specialise on: place, time, class.

The analysis of DiT-MoE (arXiv 2407.11633, section 4) counts how often each expert is chosen at a place, a time, a class;
here the counts are summarised as mutual information between the expert of a choice and what it is counted by. Means over
the blocks that have experts. A dense network is one expert that takes everything: all numbers are 0.
Shapes: b batch, n tokens, k chosen, e experts, g groups (places, times, classes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.state import moved, shape_of
from frisket.core.step import Step, use_step
from frisket.data.base import Data
from frisket.evaluation.heldout import condition, midpoints, reads
from frisket.models.layers.routers import Routed
from frisket.sampling.encoded import encoded
from frisket.sampling.pipeline import Pipeline

BATCH = 64


@register("score/experts")
@dataclass(frozen=True, kw_only=True)
class ExpertUse:
    """expert_entropy: of the share of choices that each expert takes, over its largest value, in [0, 1]. expert_by_place,
    expert_by_time: bits that a token's place, or its time, tells of the expert. times: how many, even in [0, 1]."""

    gives: ClassVar[tuple[str, ...]] = ("expert_entropy", "expert_by_place", "expert_by_time")
    times: int = 8

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        places: list[Tensor] = []
        times: list[Tensor] = []
        for index, _, chosen in _choices(pipeline, data, n, seed, self.times):
            _add(places, [counts.sum(0) for counts in chosen])
            _add(times, [_at(index, counts.sum((0, 1)), self.times) for counts in chosen])
        found = {"expert_by_place": _mean(information, places), "expert_by_time": _mean(information, times)}
        return {"expert_entropy": _mean(evenness, [table.sum(0) for table in places])} | found


@register("score/expert-classes")
@dataclass(frozen=True, kw_only=True)
class ExpertClasses:
    """expert_by_class: bits that a sample's class tells of the expert of one of its tokens."""

    gives: ClassVar[tuple[str, ...]] = ("expert_by_class",)
    times: int = 8

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """Raises `FrisketError` on data without labels."""
        classes = len(data.open("test").info.classes)
        check(classes > 0, "score/expert-classes: classes of the data", classes, "1 or more")
        tables: list[Tensor] = []
        for _, label, chosen in _choices(pipeline, data, n, seed, self.times):
            _add(tables, [_rows(label, counts.sum(1), classes) for counts in chosen])
        return {"expert_by_class": _mean(information, tables)}


def evenness(counts: Float[Tensor, "e"]) -> float:
    """Entropy of shares over that of equal ones: 1 where all are equal, 0 where one has everything or is alone."""
    share = counts.double() / counts.sum().clamp(min=1)
    entropy = float(-torch.xlogy(share, share).sum())
    return entropy / math.log(len(share)) if len(share) > 1 else 0.0


def information(table: Float[Tensor, "g e"]) -> float:
    """Mutual information of row and column of a table of counts, in bits."""
    joint = table.double() / table.sum().clamp(min=1)
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return max(0.0, float((torch.xlogy(joint, joint) - torch.xlogy(joint, apart)).sum()) / math.log(2))


@torch.no_grad()
def _choices(
    pipeline: Pipeline, data: Data, n: int, seed: int, times: int
) -> Iterator[tuple[int, Any, list[Float[Tensor, "b n e"]]]]:
    """For each time and batch of test items: the time's number, labels if there are any, and for each block with experts
    how often each token chose each."""
    model: Any = pipeline.model
    sites = [site for site in model.sites() if site.endswith(".route")]
    source, was_training = data.open("test"), model.training
    n = min(n, source.info.size or n)
    if not sites:
        return
    model.eval()
    try:
        for low in range(0, n, BATCH):
            ids = torch.arange(low, min(low + BATCH, n))
            batch = source.batch(ids)  # type: ignore[union-attr]
            x0 = pipeline.coder.encode(batch["x"].to(pipeline.device))
            cond = encoded(condition(batch, reads(model), str(pipeline.device)), model, pipeline.coder)
            for index, time in enumerate(midpoints(times)):
                step = Step(seed=seed, sample=ids.to(pipeline.device), index=index, total=times, run="experts")
                noise = moved(pipeline.process.noise(shape_of(x0), step), pipeline.device)
                t = torch.full((len(ids),), time, device=pipeline.device)
                corrupted = pipeline.process.corrupt(x0, t, noise, None)
                seen: list[Tensor] = []
                with use_step(step), install(model, dict.fromkeys(sites, _tap(seen))):
                    model(corrupted.x_t, pipeline.process.model_time(corrupted.local), cond)
                yield index, batch.get("label"), seen
    finally:
        model.train(was_training)


def _tap(seen: list[Tensor]) -> Callable[..., Routed]:
    def handle(call, args, step):
        routed: Routed = call(*args)
        seen.append(torch.nn.functional.one_hot(routed.ids, routed.scores.shape[-1]).sum(2).float())
        return routed

    return handle


def _add(total: list[Tensor], more: list[Tensor]) -> None:
    """Sums block by block, begun with the first."""
    total[:] = [a + b for a, b in zip(total, more, strict=True)] if total else more


def _at(row: int, counts: Float[Tensor, "e"], rows: int) -> Float[Tensor, "g e"]:
    return torch.zeros(rows, len(counts), device=counts.device).index_add(
        0, torch.tensor([row], device=counts.device), counts[None]
    )


def _rows(group: Int[Tensor, "b"], counts: Float[Tensor, "b e"], groups: int) -> Float[Tensor, "g e"]:
    return counts.new_zeros(groups, counts.shape[1]).index_add(0, group.to(counts.device), counts)


def _mean(of: Callable[[Tensor], float], tables: list[Tensor]) -> float:
    return sum(of(table) for table in tables) / len(tables) if tables else 0.0

"""How many problems a pipeline completes correctly, in how many forwards; the data's own judge decides.

Shapes: b problems, n tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.processes.known import Known
from frisket.sampling.base import Snapshot
from frisket.sampling.pipeline import Pipeline

BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """made: the finished states. right: as the judge says. forwards: moves of a row that ran the model. hidden: places
    that were to be found."""

    made: Tensor
    right: Bool[Tensor, "b"]
    forwards: Int[Tensor, "b"]
    hidden: Int[Tensor, "b"]

    def earned(self) -> Float[Tensor, "b"]:
        """A right answer pays 1 after one forward and less with each further one; a wrong one nothing."""
        return self.right * (1 - (self.forwards - 1) / self.hidden.clamp(min=1))


@register("score/solved")
@dataclass(frozen=True, kw_only=True)
class Solved:
    """solved: share of n held-out problems that are completed correctly as a whole. forwards: mean forwards a
    problem. earned: mean of right x (1 - (forwards - 1) / hidden places), which weighs both."""

    gives: ClassVar[tuple[str, ...]] = ("solved", "forwards", "earned")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """Raises `FrisketError` on data without a judge or without anything known."""
        found = solve(pipeline, data, n, seed)
        return {
            "solved": float(found.right.double().mean()),
            "forwards": float(found.forwards.double().mean()),
            "earned": float(found.earned().double().mean()),
        }


def problems(data: Data, n: int) -> tuple[Any, dict[str, Any]]:
    """The judge and the first n problems of the test split. Raises `FrisketError` if the set has none."""
    source = data.open("test")
    judge = getattr(source, "judge", None)
    batch = source.batch(torch.arange(n)) if judge is not None else {}  # type: ignore[union-attr]
    if "known" not in batch:
        raise FrisketError(f"{type(data).__name__} poses no problems: it needs a judge and what is known (data/sudoku)")
    return judge, batch


def solve(pipeline: Pipeline, data: Data, n: int, seed: int) -> Solutions:
    """Complete the first n problems of the test split with the pipeline's own sampler."""
    judge, batch = problems(data, n)
    state = pipeline.coder.encode(batch["x"])
    known = Known(values=state, where=batch["known"])
    made, forwards = [], []
    for low in range(0, n, BATCH):
        rows = slice(low, min(low + BATCH, n))
        shots = pipeline.snapshots(rows.stop - low, seed=seed, first=low, known=known.rows(rows))
        last, count = _followed(shots, known.rows(rows))
        made.append(last)
        forwards.append(count)
    finished = torch.cat(made)
    return Solutions(
        made=finished, right=judge.right(finished, batch), forwards=torch.cat(forwards),
        hidden=(~known.where).flatten(1).sum(1),
    )  # fmt: skip


def _followed(shots: Iterator[Snapshot], known: Known) -> tuple[Tensor, Int[Tensor, "b"]]:
    """The last state of a run, on the CPU, and in how many moves each row changed: what changes nothing makes no
    forward."""
    x, count = known.values, torch.zeros(len(known.values), dtype=torch.int64)
    for shot in shots:
        now = known.impose(shot.x.cpu())
        if shot.index:
            count += (now != x).flatten(1).any(1)
        x = now
    return x, count

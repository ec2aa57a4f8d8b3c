"""Euler's method in which tokens have their own rates: at most moves only some are computed, the others go on as before.

RAS (arXiv 2502.10389; facts from microsoft/RAS ras_manager.py and its scheduler): a token that waits keeps moving with
the velocity it last had, however old; some moves compute everything to clear what has gathered. The guided velocity
decides, so all guidance branches share one choice. Tokens that are computed need the keys and values of those that wait:
`cache/kept-keys` holds them. The code reuses the last choice in the step at its end; here dense moves are dense.
Shapes: b batch, n tokens; `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.plans.base import ALL
from frisket.processes.base import expand
from frisket.sampling.base import Moment
from frisket.sampling.levels import gaussian
from frisket.sampling.solvers.waits import CITE, Change, Waits


@register("solver/regions", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Regions:
    """patch: the network's. share: of tokens computed in a sparse move. start, end: the first sparse move and the first
    dense one behind them (None: none). resets: dense moves between. growth: how many more tokens wait every `every`
    moves (0: always as many), in multiples of `grain`. waits: who."""

    patch: int = 2
    share: float = 0.5
    start: int = 4
    end: int | None = None
    resets: tuple[int, ...] = (12, 22)
    growth: int = 0
    every: int = 0
    grain: int = 64
    waits: Waits = field(default_factory=Change)

    def __post_init__(self):
        check(0 < self.share <= 1, "solver.share", self.share, "above 0 and at most 1")
        check(self.start >= 1, "solver.start", self.start, "at least 1: the first move computes everything")
        check(self.grain >= 1 and self.every >= 0, "solver (every, grain)", (self.every, self.grain), "0 / 1 or more")

    def counts(self, total: int, tokens: int) -> list[int]:
        """How many of `tokens` wait in each of `total` moves. Raises `FrisketError` where growth leaves [0, tokens)."""
        some = int((1 - self.share) * tokens)
        counts = [some] * total
        if self.every:
            middle = ((total + self.start) // self.every) // 2
            counts = [
                (some + self.growth * (k // self.every - middle)) // self.grain * self.grain for k in range(total)
            ]
        dense = {*range(min(self.start, total)), *range(total if self.end is None else self.end, total), *self.resets}
        counts = [0 if k in dense else count for k, count in enumerate(counts)]
        check(all(0 <= c < tokens for c in counts), "solver.growth", self.growth, f"one with 0 to {tokens - 1} waiting")
        return counts

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        grid = Grid.of(tuple(x.shape[2:]), self.patch)
        held: dict[str, Any] = at.memory.setdefault("solver/regions", {})
        counts = self.counts(at.step.total, grid.tokens)
        waiting = held.pop("waiting", None)
        if waiting is None:
            velocity = gaussian(at.process).velocity(at.evaluate(x, t), x, t)
        else:
            velocity = self._partly(x, t, at, grid, waiting, held["velocity"])
        change = expand(s - t, x).to(x.dtype) * velocity
        held["velocity"] = velocity
        if at.step.index + 1 < at.step.total and counts[at.step.index + 1] > 0:
            waited = held.setdefault("waited", torch.zeros(len(x), grid.tokens, device=x.device))
            chosen = self.waits.choose(change, grid, waited, counts[at.step.index + 1], at.step)
            waited.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=waited.dtype))
            held["waiting"] = chosen
        return x + change

    def _partly(self, x: Tensor, t: Tensor, at: Moment, grid: Grid, waiting: Tensor, before: Tensor) -> Tensor:
        """The velocity, computed for those that do not wait."""
        waits = torch.zeros(len(x), grid.tokens, dtype=torch.bool, device=x.device).scatter_(1, waiting, True)
        active = (~waits).nonzero()[:, 1].reshape(len(x), -1)
        velocity = gaussian(at.process).velocity(at.evaluate(x, t, keep={ALL: active}), x, t)
        return torch.where(spread(waits, grid), before, velocity)


def spread(tokens: Tensor, grid: Grid) -> Tensor:
    """Values of tokens (b, n) at each place of the state: (b, 1, *s)."""
    out = grid.fold(tokens)
    for axis, p in enumerate(grid.patch):
        out = out.repeat_interleave(p, dim=1 + axis)
    return out.unsqueeze(1)

"""Which tokens wait for a step: ranked by how much the last move changed them, at random, or always the same.

RAS (arXiv 2502.10389; facts from microsoft/RAS ras_scheduling_flow_match_euler_discrete.py) ranks by the guided update,
multiplied by e^(scale x waits so far). That factor brings back tokens chosen from the lowest ranks and keeps away those
chosen from the highest; `release` = "all" divides instead for the highest share, so that both come back.
Shapes: b batch, c channels, n tokens; `*s` the state's axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.grid import Grid

CITE = (
    "Liu, Yang, Zhang, Zhang, Qiu, You, Yang. Region-Adaptive Sampling for Diffusion Transformers. 2025. "
    "arXiv:2502.10389"
)


@runtime_checkable
class Waits(Protocol):
    """A registered value ("waits/...")."""

    def choose(
        self, change: Float[Tensor, "b c *s"], grid: Grid, waited: Float[Tensor, "b n"], count: int, step: Step
    ) -> Int[Tensor, "b m"]:
        """The `count` tokens of each row that wait in the next move. change: what this move did to the state. waited:
        how often each token has waited."""
        ...


@register("waits/change", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Change:
    """measure: of a place's channels, averaged over a token: their standard deviation ("spread") or length ("norm", the
    only one of use with a single channel). high: the share chosen from those that changed most, the rest from those that
    changed least. scale: of the factor against starvation. release: "low" as published, or "all"."""

    measure: Literal["spread", "norm"] = "spread"
    high: float = 1.0
    scale: float = 0.1
    release: Literal["low", "all"] = "low"

    def __post_init__(self):
        check(0 <= self.high <= 1, "waits.high", self.high, "in [0, 1]")

    def choose(self, change: Tensor, grid: Grid, waited: Tensor, count: int, step: Step) -> Tensor:
        places = change.std(1) if self.measure == "spread" else change.norm(dim=1)  # (b, *s)
        metric = grid.per_token(places.unsqueeze(1))  # (b, n)
        weight = torch.exp(self.scale * waited.to(metric.dtype))
        many = int(count * self.high)
        few = count - many  # the code rounds both down, so that one token fewer may wait
        low = (metric * weight).argsort(1)
        if self.release == "low":
            return torch.cat([low[:, :few], low[:, low.shape[1] - many :]], 1)
        first = low[:, :few]
        high = (metric / weight).scatter(1, first, -torch.inf).argsort(1)
        return torch.cat([first, high[:, high.shape[1] - many :]], 1)


@register("waits/random")
@dataclass(frozen=True, kw_only=True)
class Random:
    """Any tokens, drawn anew for each move."""

    def choose(self, change: Tensor, grid: Grid, waited: Tensor, count: int, step: Step) -> Tensor:
        return step.draw("waits", (grid.tokens,), "uniform").argsort(1)[:, :count]


@register("waits/border")
@dataclass(frozen=True, kw_only=True)
class Border:
    """Always those farthest from the middle."""

    def choose(self, change: Tensor, grid: Grid, waited: Tensor, count: int, step: Step) -> Tensor:
        coords = grid.coords(change.device)
        middle = torch.tensor([(a - 1) / 2 for a in grid.axes], device=change.device)
        far = (coords - middle).abs().amax(-1).argsort(descending=True, stable=True)[:count]
        return far.expand(len(change), -1)

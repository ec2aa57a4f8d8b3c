"""Heun's method on the probability flow: an Euler move, then the mean of the slopes at its two ends.

Source: arXiv 2206.00364, algorithm 1 (its choice of the straight last move is kept: at t = 0 the estimate is not
defined). The paper integrates in sigma; here the variable is t, for any path. Order two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from frisket.core.registry import register
from frisket.processes.base import expand
from frisket.sampling.base import Moment
from frisket.sampling.levels import gaussian

CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"


@register("solver/heun", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class Heun:
    """Two forwards a move, one in the last."""

    reversible: ClassVar[bool] = True

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        process, span = gaussian(at.process), expand(s - t, x).to(x.dtype)
        first = process.velocity(at.evaluate(x, t), x, t)
        moved = x + span * first
        if bool((s <= 0).any()):
            return moved
        second = process.velocity(at.evaluate(moved, s), moved, s)
        return x + span * (first + second) / 2

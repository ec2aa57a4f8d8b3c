"""DPM-Solver++ 2M: a second-order multistep method on the estimate of x0, in the log signal-to-noise ratio.

Source: arXiv 2211.01095, algorithm 2. The ratio is infinite at sigma = 0 and at alpha = 0, so the first move from pure
noise and the last move to the data are of order one (its released code lowers the last order too). The same formulas
lead from the data up to noise, with the first and the last move of order one there as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from frisket.core.registry import register
from frisket.sampling.base import Moment
from frisket.sampling.levels import level

HELD = "solver/dpm++2m"
CITE_DPM = (
    "Lu et al. DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models. 2022. arXiv:2211.01095"
)


@register(HELD, cite=CITE_DPM)
@dataclass(frozen=True, kw_only=True)
class DPMSolver2M:
    """One forward a move; remembers the estimate before. Forgets it where the trajectory was broken by a move up."""

    reversible: ClassVar[bool] = True

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        estimate = at.evaluate(x, t)
        x0 = estimate.x0
        assert x0 is not None
        assert estimate.noise is not None
        now, end = level(at.process, t, x), level(at.process, s, x)
        if bool((t <= 0).all()):  # from the data up: x has no noise to scale yet
            at.memory[HELD] = (x0, s, torch.full_like(now.alpha, -math.inf))
            return end.alpha * x0 + end.sigma * estimate.noise
        decay = end.sigma * now.alpha / (now.sigma * end.alpha)  # exp(-h), h the gain in log(alpha / sigma)
        used = x0
        before = at.memory.get(HELD)
        if before is not None and torch.equal(before[1], t) and bool((s > 0).all() and (end.alpha > 0).all()):
            past, _, gain = before
            h = -torch.log(decay)
            used = x0 + h / (2 * gain) * (x0 - past)  # gain is infinite after a move from an end: first order then
        at.memory[HELD] = (x0, s, -torch.log(decay))
        return end.sigma / now.sigma * x + (end.alpha - end.sigma * now.alpha / now.sigma) * used

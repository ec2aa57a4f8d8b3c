"""Euler-Maruyama on the reverse stochastic equation of any gaussian path.

Source: arXiv 2303.08797 and 2401.08740 (SiT): x gains (w / 2) score and noise sqrt(w) on the way down, with
score = -noise / sigma; every w >= 0 keeps the marginals. Chosen here: w = churn d(sigma^2)/dt, which is SiT's w = sigma
for straight paths at churn 1/2, the equation of EDM at churn 1, and finite at both ends. The last move takes no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.base import expand
from frisket.sampling.base import Moment
from frisket.sampling.levels import gaussian, level

CITE_SIT = (
    "Ma et al. SiT: Exploring Flow and Diffusion-based Generative Models with Scalable Interpolant "
    "Transformers. 2024. arXiv:2401.08740"
)


@register("solver/sde-euler", cite=CITE_SIT)
@dataclass(frozen=True, kw_only=True)
class SDEEuler:
    """churn: strength of the fresh noise, at least 0; 0 is Euler's method on the flow. One forward a move."""

    churn: float = 0.5

    def __post_init__(self):
        check(self.churn >= 0, "solver.churn", self.churn, "at least 0")

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        estimate = at.evaluate(x, t)
        assert estimate.noise is not None
        span = expand(t - s, x).to(x.dtype)
        moved = x - span * gaussian(at.process).velocity(estimate, x, t)
        if self.churn == 0 or bool((s <= 0).any()):
            return moved
        now = level(at.process, t, x)
        drift = self.churn * now.d_sigma * estimate.noise  # (w / 2) noise / sigma with w = 2 churn sigma sigma'
        spread = torch.sqrt(2 * self.churn * now.sigma * now.d_sigma * span)
        return moved - span * drift + spread * at.noise(x, "solver").to(x.dtype)

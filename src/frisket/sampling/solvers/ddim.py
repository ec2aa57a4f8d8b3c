"""DDIM: keep the estimates of x0 and noise fixed over the move, with a share of fresh noise.

Source: arXiv 2010.02502, eq. 12 and 16, written for any gaussian path: the spread is
eta (sigma_s / sigma_t) sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2). eta 0 is deterministic, eta 1 the ancestral
step with the posterior's variance. The last move gives x0 exactly where alpha(0) = 1 and sigma(0) = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.sampling.base import Moment
from frisket.sampling.levels import level

CITE_DDIM = "Song, Meng, Ermon. Denoising Diffusion Implicit Models. 2020. arXiv:2010.02502"


@register("solver/ddim", cite=CITE_DDIM)
@dataclass(frozen=True, kw_only=True)
class DDIM:
    """eta: in [0, 1], the share of fresh noise."""

    eta: float = 0.0

    def __post_init__(self):
        check(0.0 <= self.eta <= 1.0, "solver.eta", self.eta, "between 0 and 1")

    @property
    def reversible(self) -> bool:
        """Whether it leads from the data up to noise, too."""
        return self.eta == 0.0

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        estimate = at.evaluate(x, t)
        assert estimate.x0 is not None
        assert estimate.noise is not None
        end = level(at.process, s, x)
        if self.eta == 0.0:
            return end.alpha * estimate.x0 + end.sigma * estimate.noise
        spread = self.eta * posterior_spread(at, t, s, x)
        held = torch.sqrt((end.sigma**2 - spread**2).clamp(min=0))
        return end.alpha * estimate.x0 + held * estimate.noise + spread * at.noise(x, "solver").to(x.dtype)


def posterior_spread(at: Moment, t: Tensor, s: Tensor, x: Tensor) -> Tensor:
    """Standard deviation of q(x_s | x_t, x0) on a gaussian path, 0 at sigma_s = 0."""
    now, end = level(at.process, t, x), level(at.process, s, x)
    added = (now.sigma**2 - (now.alpha / end.alpha) ** 2 * end.sigma**2).clamp(min=0)
    return end.sigma / now.sigma * torch.sqrt(added)

"""The ancestral step: a draw from the model's own p(x_s | x_t).

Source: arXiv 2006.11239, eq. 11, and 2102.09672 for a learned variance; mean and variance are the process's posterior,
which holds for any path and any pair of times (so respaced grids need no new betas). No noise is added at s = 0, where
the mean is x0 wherever the path is clean at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.base import expand
from frisket.sampling.base import Moment
from frisket.sampling.levels import gaussian

CITE_DDPM = "Ho, Jain, Abbeel. Denoising Diffusion Probabilistic Models. 2020. arXiv:2006.11239"


@register("solver/ancestral", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class Ancestral:
    """One forward a move; the variance is what the process says (fixed or learned). temperature: factor of the noise
    that a move adds."""

    temperature: float = 1.0

    def __post_init__(self):
        check(self.temperature >= 0, "solver.temperature", self.temperature, "0 or more")

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        mean, log_variance = gaussian(at.process).posterior(x, at.evaluate(x, t), t, s)
        spread = torch.where(expand(s, x) > 0, torch.exp(log_variance / 2), torch.zeros_like(log_variance))
        return mean + self.temperature * spread.to(x.dtype) * at.noise(x, "solver").to(x.dtype)

"""Paths that are laid out by the noise level sigma / alpha: VE, and EDM in the units that its network sees.

Source: EDM 2206.00364 (levels sigma_min .. sigma_max on the rho grid, table 1). Levels are evenly spaced in their
1/rho-th power, so equal steps of t are the paper's sampling grid. The paper's grid ends with a jump from
sigma_min to 0; here the level falls linearly to 0 over the first `foot` of t, so that t = 0 is data. EDM feeds its
network c_in x with c_in = 1 / sqrt(sigma^2 + data^2). A process here has no separate network input, so `path/edm`
carries that factor in the state: alpha = data c_in, sigma = data c_in level, which keeps the same signal-to-noise
ratios, has the data's own deviation at every t, and is clean at t = 0. `path/ve` is the unscaled one.
Shapes: t of any shape; every coefficient has the shape of t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.paths import Level, Path

CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"


def karras(t: Tensor, low: float, high: float, rho: float, foot: float) -> tuple[Tensor, Tensor]:
    """The noise level at t and its derivative, float64."""
    t = t.to(torch.float64)
    a, b = low ** (1 / rho), high ** (1 / rho)
    root = a + (b - a) * ((t - foot) / (1 - foot)).clamp(min=0)
    ramp = t < foot
    level = torch.where(ramp, low * t / foot, root**rho)
    slope = torch.where(ramp, torch.full_like(t, low / foot), rho * root ** (rho - 1) * (b - a) / (1 - foot))
    return level, slope


def _check(path: VE | EDM) -> None:
    ends = (path.sigma_min, path.sigma_max)
    check(0 < path.sigma_min < path.sigma_max, "path.sigma_min, path.sigma_max", ends, "0 < min < max")
    check(path.rho > 0, "path.rho", path.rho, "positive")
    check(0 < path.foot < 1, "path.foot", path.foot, "inside (0, 1)")


@register("path/ve", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class VE(Path):
    """alpha = 1, sigma = the level. The network sees the state as it is: large at high levels."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    foot: float = 1e-3

    def __post_init__(self):
        _check(self)

    def level(self, t: Float[Tensor, "..."]) -> Level:
        sigma, slope = karras(t, self.sigma_min, self.sigma_max, self.rho, self.foot)
        return Level(alpha=torch.ones_like(sigma), sigma=sigma, d_alpha=torch.zeros_like(sigma), d_sigma=slope)

    def scale(self) -> float:
        return self.sigma_max


@register("path/edm", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class EDM(Path):
    """The VE state times data / sqrt(level^2 + data^2). data: standard deviation of x0."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    foot: float = 1e-3
    data: float = 0.5

    def __post_init__(self):
        _check(self)
        check(self.data > 0, "path.data", self.data, "positive")

    def level(self, t: Float[Tensor, "..."]) -> Level:
        noise, slope = karras(t, self.sigma_min, self.sigma_max, self.rho, self.foot)
        total = (noise**2 + self.data**2).sqrt()
        alpha = self.data / total
        d_alpha = -self.data * noise * slope / total**3
        return Level(alpha=alpha, sigma=alpha * noise, d_alpha=d_alpha, d_sigma=alpha * slope + d_alpha * noise)

    def scale(self) -> float:
        return self.data * self.sigma_max / (self.sigma_max**2 + self.data**2) ** 0.5

"""Gaussian paths: x_t = alpha(t) x0 + sigma(t) noise, with t = 0 data and t = 1 (nearly) all noise.

Sources: DDPM betas as in the official DiT code (facebookresearch/DiT, diffusion/gaussian_diffusion.py, read for
facts), Nichol and Dhariwal 2102.09672 (cosine), Diffusion-LM 2205.14217 (sqrt), rectified flow 2209.03003, SiT
2401.08740 (trigonometric, continuous VP), EDM 2206.00364 (VE levels). Left open by the discrete papers: what lies
between two steps; here log alpha-bar is interpolated linearly, so t = (i + 1) / steps hits step i exactly and t = 0 is
clean. Everything is computed in float64; pass float64 times where the exact grid value matters.
Shapes: t of any shape; every coefficient has the shape of t.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.base import expand

CITE_DDPM = "Ho, Jain, Abbeel. Denoising Diffusion Probabilistic Models. 2020. arXiv:2006.11239"
CITE_IDDPM = "Nichol, Dhariwal. Improved Denoising Diffusion Probabilistic Models. 2021. arXiv:2102.09672"
CITE_DLM = "Li et al. Diffusion-LM Improves Controllable Text Generation. 2022. arXiv:2205.14217"
CITE_LDM = "Rombach et al. High-Resolution Image Synthesis with Latent Diffusion Models. 2022. arXiv:2112.10752"
CITE_SDE = (
    "Song et al. Score-Based Generative Modeling through Stochastic Differential Equations. 2021. arXiv:2011.13456"
)
CITE_SIT = (
    "Ma et al. SiT: Exploring Flow and Diffusion-based Generative Models with Scalable "
    "Interpolant Transformers. 2024. arXiv:2401.08740"
)
CITE_RF = (
    "Liu, Gong, Liu. Flow Straight and Fast: Learning to Generate and Transfer Data with "
    "Rectified Flow. 2022. arXiv:2209.03003"
)

FLOOR = 1e-3  # what alpha or sigma is raised to before something is divided by it
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Level:
    """The coefficients at a time and their derivatives in t."""

    alpha: Float[Tensor, "..."]
    sigma: Float[Tensor, "..."]
    d_alpha: Float[Tensor, "..."]
    d_sigma: Float[Tensor, "..."]

    def like(self, x: Tensor) -> Level:
        """The same coefficients in the dtype of x, with ones appended until they broadcast against x."""
        return Level(**{k: expand(v, x).to(device=x.device, dtype=x.dtype) for k, v in vars(self).items()})


class Path(ABC):
    """A registered value ("path/..."). `level` is the path; the rest follows from it."""

    @abstractmethod
    def level(self, t: Float[Tensor, "..."]) -> Level:
        """Coefficients in float64. d_sigma stays finite at t = 0, where it may be infinite on paper."""

    @abstractmethod
    def scale(self) -> float:
        """The standard deviation of the prior, which stands for the state at t = 1."""

    def alpha(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.level(t).alpha

    def sigma(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.level(t).sigma

    def log_snr(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """log (alpha^2 / sigma^2); finite, since both are raised to 1e-12."""
        level = self.level(t)
        return 2 * (level.alpha.clamp(min=TINY).log() - level.sigma.clamp(min=TINY).log())

    def time(self, log_snr: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The t in [0, 1] whose log SNR is the given one (the nearer end if there is none), by bisection to 2^-60."""
        low = torch.zeros_like(log_snr, dtype=torch.float64)
        high = torch.ones_like(low)
        for _ in range(60):
            middle = (low + high) / 2
            cleaner = self.log_snr(middle) > log_snr
            low, high = torch.where(cleaner, middle, low), torch.where(cleaner, high, middle)
        return (low + high) / 2


def _from_log_abar(log_abar: Tensor, slope: Tensor) -> Level:
    """A variance-preserving level from log alpha-bar and its derivative."""
    alpha = (log_abar / 2).exp()
    sigma = (-torch.expm1(log_abar)).sqrt()
    d_sigma = -slope * log_abar.exp() / (2 * sigma.clamp(min=1e-6))
    return Level(alpha=alpha, sigma=sigma, d_alpha=alpha * slope / 2, d_sigma=d_sigma)


class DiscretePath(Path):
    """A variance-preserving path given by one beta a step."""

    steps: int

    @abstractmethod
    def betas(self) -> tuple[float, ...]:
        """One number in (0, 1) a step."""

    def level(self, t: Float[Tensor, "..."]) -> Level:
        table = _log_abar(self).to(t.device)
        place = (t.to(torch.float64) * self.steps).clamp(0, self.steps)
        left = place.floor().clamp(max=self.steps - 1).long()
        start, rise = table[left], table[left + 1] - table[left]
        return _from_log_abar(start + rise * (place - left), rise * self.steps)

    def scale(self) -> float:
        return 1.0


@lru_cache(maxsize=32)
def _log_abar(path: DiscretePath) -> Tensor:
    """log alpha-bar at t = 0, 1/steps, ..., 1: (steps + 1,) float64."""
    betas = torch.tensor(path.betas(), dtype=torch.float64)
    return torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])


def _betas_of(abar, steps: int, cap: float) -> tuple[float, ...]:
    return tuple(min(1 - abar((i + 1) / steps) / abar(i / steps), cap) for i in range(steps))


@register("path/vp-linear", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class VPLinear(DiscretePath):
    """Betas linear from `first` to `last` (the values for 1,000 steps; other counts rescale them), as DDPM and DiT."""

    steps: int = 1000
    first: float = 1e-4
    last: float = 2e-2

    def __post_init__(self):
        check(self.steps >= 20, "path.steps", self.steps, "at least 20, or a beta would exceed 1")
        check(
            0 < self.first <= self.last < 1, "path.first, path.last", (self.first, self.last), "0 < first <= last < 1"
        )

    def betas(self) -> tuple[float, ...]:
        scale = 1000 / self.steps
        step = (self.last - self.first) / (self.steps - 1)
        return tuple(min(scale * (self.first + step * i), 0.999) for i in range(self.steps))


@register("path/vp-scaled", cite=CITE_LDM)
@dataclass(frozen=True, kw_only=True)
class VPScaled(DiscretePath):
    """Betas whose square roots are linear, as latent diffusion 2112.10752 and its diffusers scheduler files use."""

    steps: int = 1000
    first: float = 0.00085
    last: float = 0.012

    def __post_init__(self):
        check(self.steps >= 2, "path.steps", self.steps, "at least 2")
        check(
            0 < self.first <= self.last < 1, "path.first, path.last", (self.first, self.last), "0 < first <= last < 1"
        )

    def betas(self) -> tuple[float, ...]:
        low, high = math.sqrt(self.first), math.sqrt(self.last)
        return tuple((low + (high - low) * i / (self.steps - 1)) ** 2 for i in range(self.steps))


@register("path/cosine", cite=CITE_IDDPM)
@dataclass(frozen=True, kw_only=True)
class Cosine(DiscretePath):
    """alpha-bar = cos^2 of (t + offset) / (1 + offset) * pi / 2, normalised at t = 0; no beta above 0.999."""

    steps: int = 1000
    offset: float = 0.008

    def __post_init__(self):
        check(self.steps >= 2, "path.steps", self.steps, "at least 2")

    def betas(self) -> tuple[float, ...]:
        return _betas_of(
            lambda t: math.cos((t + self.offset) / (1 + self.offset) * math.pi / 2) ** 2, self.steps, 0.999
        )


@register("path/sqrt", cite=CITE_DLM)
@dataclass(frozen=True, kw_only=True)
class Sqrt(DiscretePath):
    """alpha-bar = 1 - sqrt(t + offset), normalised at t = 0; noise rises fast first, for embedded words."""

    steps: int = 1000
    offset: float = 1e-4

    def __post_init__(self):
        check(self.steps >= 2, "path.steps", self.steps, "at least 2")

    def betas(self) -> tuple[float, ...]:
        return _betas_of(lambda t: 1 - math.sqrt(t + self.offset), self.steps, 0.999)


@register("path/vp-continuous", cite=CITE_SDE)
@dataclass(frozen=True, kw_only=True)
class VPContinuous(Path):
    """The VP differential equation with rate beta linear from `first` to `last`: log alpha-bar is a parabola."""

    first: float = 0.1
    last: float = 20.0

    def __post_init__(self):
        check(0 < self.first <= self.last, "path.first, path.last", (self.first, self.last), "0 < first <= last")

    def level(self, t: Float[Tensor, "..."]) -> Level:
        t = t.to(torch.float64)
        spread = self.last - self.first
        return _from_log_abar(-(self.first * t + spread * t**2 / 2), -(self.first + spread * t))

    def scale(self) -> float:
        return 1.0


@register("path/trigonometric", cite=CITE_SIT)
@dataclass(frozen=True, kw_only=True)
class Trigonometric(Path):
    """alpha = cos, sigma = sin of pi t / 2 (SiT's GVP)."""

    def level(self, t: Float[Tensor, "..."]) -> Level:
        angle = t.to(torch.float64) * (math.pi / 2)
        cos, sin = angle.cos(), angle.sin()
        return Level(alpha=cos, sigma=sin, d_alpha=-sin * (math.pi / 2), d_sigma=cos * (math.pi / 2))

    def scale(self) -> float:
        return 1.0


@register("path/flow", cite=CITE_RF)
@dataclass(frozen=True, kw_only=True)
class Flow(Path):
    """The straight line between data and noise: alpha = 1 - t, sigma = t (rectified flow, SiT's Linear)."""

    def level(self, t: Float[Tensor, "..."]) -> Level:
        t = t.to(torch.float64)
        one = torch.ones_like(t)
        return Level(alpha=1 - t, sigma=t, d_alpha=-one, d_sigma=one)

    def scale(self) -> float:
        return 1.0

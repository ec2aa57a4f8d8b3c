"""Time densities: each is the quantile function of a uniform number, so that the caller may stratify it. The last two
are of shares of hidden tokens.

Sources: SD3 2403.03206 (logit-normal), EDM 2206.00364 (log-normal over the noise level), DDPM (a grid of steps), MDLM
2406.07524 (uniform above a floor), MAR 2406.11838 (truncated normal), MaskGIT 2202.04200 (cosine). Shapes: u of any
shape in [0, 1); t of the same shape, float64, never decreasing in u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.processes.paths import Path

CITE_DDPM = "Ho, Jain, Abbeel. Denoising Diffusion Probabilistic Models. 2020. arXiv:2006.11239"
CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"
CITE_SD3 = (
    "Esser et al. Scaling Rectified Flow Transformers for High-Resolution Image Synthesis. 2024. arXiv:2403.03206"
)

CITE_MAR = "Li et al. Autoregressive Image Generation without Vector Quantization. 2024. arXiv:2406.11838"
CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"

EDGE = 1e-9  # u is kept this far from 0 and 1 where the quantile is infinite there


@runtime_checkable
class Density(Protocol):
    """A registered value ("density/...")."""

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        """t in [0, 1] for u; `path` is the gaussian process's own, None for a masked one."""
        ...


@register("density/uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Uniform on [floor, 1)."""

    floor: float = 0.0

    def __post_init__(self):
        check(0 <= self.floor < 1, "density.floor", self.floor, "in [0, 1)")

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        return self.floor + (1 - self.floor) * u.to(torch.float64)


@register("density/logit-normal", cite=CITE_SD3)
@dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """The logit of t is normal (mean, std); a positive mean looks more at noise. t is then mapped to [floor, 1]."""

    mean: float = 0.0
    std: float = 1.0
    floor: float = 0.0

    def __post_init__(self):
        check(self.std > 0, "density.std", self.std, "positive")
        check(0 <= self.floor < 1, "density.floor", self.floor, "in [0, 1)")

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        t = torch.sigmoid(self.mean + self.std * torch.special.ndtri(u.to(torch.float64).clamp(EDGE, 1 - EDGE)))
        return self.floor + (1 - self.floor) * t


@register("density/log-normal", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class LogNormal:
    """The log of the noise level sigma / alpha is normal (mean, std), as EDM trains; levels off the path go to its
    nearer end. Needs a gaussian path."""

    mean: float = -1.2
    std: float = 1.2

    def __post_init__(self):
        check(self.std > 0, "density.std", self.std, "positive")

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        if path is None:
            raise FrisketError("density/log-normal is over a gaussian noise level; a masked process has none")
        level = self.mean + self.std * torch.special.ndtri(u.to(torch.float64).clamp(EDGE, 1 - EDGE))
        return path.time(-2 * level)


@register("density/steps", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class Steps:
    """Uniform on the grid 1 / steps, 2 / steps, ..., 1: step i of a discrete process is t = (i + 1) / steps."""

    steps: int = 1000

    def __post_init__(self):
        check(self.steps >= 1, "density.steps", self.steps, "at least 1")

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        return ((u.to(torch.float64) * self.steps).floor() + 1).clamp(max=self.steps) / self.steps


@register("density/truncated-normal", cite=CITE_MAR)
@dataclass(frozen=True, kw_only=True)
class TruncatedNormal:
    """Normal (mean, std) cut to [low, high]; with its defaults MAR's share of hidden tokens (LTH14/mar models/mar.py)."""

    mean: float = 1.0
    std: float = 0.25
    low: float = 0.7
    high: float = 1.0

    def __post_init__(self):
        check(self.std > 0, "density.std", self.std, "positive")
        check(0 <= self.low < self.high <= 1, "density (low, high)", (self.low, self.high), "0 <= low < high <= 1")

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        ends = torch.tensor([self.low, self.high], dtype=torch.float64, device=u.device)
        below, upto = torch.special.ndtr((ends - self.mean) / self.std)
        inside = torch.special.ndtri(below + (upto - below) * u.to(torch.float64))
        return (self.mean + self.std * inside).clamp(self.low, self.high)


@register("density/cosine", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """cos(pi/2 (1 - u)): the share of hidden tokens in MaskGIT's training, more often large than small."""

    def quantile(self, u: Float[Tensor, "..."], path: Path | None = None) -> Float[Tensor, "..."]:
        return torch.cos(math.pi / 2 * (1 - u.to(torch.float64)))

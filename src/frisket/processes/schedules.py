"""Masking schedules: m(t), the probability that an element is hidden at t, with m(0) = 0 and m(1) = 1 (or near).

Sources: MD4 2406.04329 (linear, cosine, polynomial, the shift of both ends), MDLM 2406.07524 and its
noise_schedule.py, read for facts (log-linear, squared cosine, exponential, geometric; there m = 1 - exp(-sigma) with
total noise sigma). The weight of the continuous bound is m'(t) / m(t). Names follow m, so MDLM's "linear" (sigma
linear) is `exponential` here.
Shapes: t of any shape; results of the same shape, float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register

CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"
CITE_MD4 = "Shi et al. Simplified and Generalized Masked Diffusion for Discrete Data. 2024. arXiv:2406.04329"
CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"

CITE_MASKBIT = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"

LEAST = 1e-6  # times are raised to this before a division by m


class Schedule(ABC):
    """A registered value ("schedule/..."). `hidden` and `rate` are the schedule; the rest follows from them."""

    @abstractmethod
    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """m(t), float64."""

    @abstractmethod
    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """m'(t), float64."""

    def weight(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """m'(t) / m(t); t is raised to 1e-6, so it is finite."""
        t = t.to(torch.float64).clamp(min=LEAST)
        return self.rate(t) / self.hidden(t)

    def log_snr(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Log odds of being visible, within +-28."""
        return -torch.logit(self.hidden(t), eps=1e-12)

    def total(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The total noise -log(1 - m), which MDLM's networks are fed; at most 28."""
        return -(1 - self.hidden(t)).clamp(min=1e-12).log()

    def time(self, hidden: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The t in [0, 1] at which m is `hidden` (the nearer end if there is none), by bisection to 2^-60."""
        low = torch.zeros_like(hidden, dtype=torch.float64)
        high = torch.ones_like(low)
        for _ in range(60):
            middle = (low + high) / 2
            less = self.hidden(middle) < hidden
            low, high = torch.where(less, middle, low), torch.where(less, high, middle)
        return (low + high) / 2


@register("schedule/linear", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """m = t."""

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return t.to(torch.float64)

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return torch.ones_like(t, dtype=torch.float64)


@register("schedule/log-linear", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class LogLinear(Schedule):
    """m = (1 - eps) t, MDLM's default; the weight is 1 / t whatever eps."""

    eps: float = 1e-3

    def __post_init__(self):
        check(0 <= self.eps < 1, "schedule.eps", self.eps, "in [0, 1)")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - self.eps) * t.to(torch.float64)

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return torch.full_like(t, 1 - self.eps, dtype=torch.float64)


@register("schedule/polynomial", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """m = t^power; the weight is power / t."""

    power: float = 2.0

    def __post_init__(self):
        check(self.power > 0, "schedule.power", self.power, "positive")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return t.to(torch.float64) ** self.power

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.power * t.to(torch.float64).clamp(min=LEAST) ** (self.power - 1)


@register("schedule/cosine", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """m = sin(pi t / 2), that is cos of the share already known: MaskGIT and MD4."""

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return torch.sin(t.to(torch.float64) * (math.pi / 2))

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return torch.cos(t.to(torch.float64) * (math.pi / 2)) * (math.pi / 2)


@register("schedule/arccos", cite=CITE_MASKBIT)
@dataclass(frozen=True, kw_only=True)
class Arccos(Schedule):
    """m = arccos(1 - t) / (pi / 2): MaskBit's. More is hidden than under `cosine` only close to t = 0, so the last moves
    reveal the most. The rate is infinite at 0; t is raised to 1e-6 there."""

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return torch.acos((1 - t.to(torch.float64)).clamp(0, 1)) / (math.pi / 2)

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        t = t.to(torch.float64).clamp(min=LEAST)
        return 1 / (math.pi / 2 * (1 - (1 - t) ** 2).sqrt())


@register("schedule/cosine-visible", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class CosineVisible(Schedule):
    """m = (1 - eps) (1 - cos(pi t / 2)): MDLM's cosine, slow at the data end."""

    eps: float = 1e-3

    def __post_init__(self):
        check(0 <= self.eps < 1, "schedule.eps", self.eps, "in [0, 1)")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - self.eps) * 2 * torch.sin(t.to(torch.float64) * (math.pi / 4)) ** 2

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - self.eps) * torch.sin(t.to(torch.float64) * (math.pi / 2)) * (math.pi / 2)


@register("schedule/squared-cosine", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class SquaredCosine(Schedule):
    """m = (1 - eps) sin^2(pi t / 2)."""

    eps: float = 1e-3

    def __post_init__(self):
        check(0 <= self.eps < 1, "schedule.eps", self.eps, "in [0, 1)")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - self.eps) * torch.sin(t.to(torch.float64) * (math.pi / 2)) ** 2

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - self.eps) * torch.sin(t.to(torch.float64) * math.pi) * (math.pi / 2)


@register("schedule/exponential", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """m = 1 - exp(-total t): noise comes at a constant rate (MDLM's "linear")."""

    noise: float = 10.0

    def __post_init__(self):
        check(self.noise > 0, "schedule.noise", self.noise, "positive")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return -torch.expm1(-self.noise * t.to(torch.float64))

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.noise * torch.exp(-self.noise * t.to(torch.float64))


@register("schedule/geometric", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Geometric(Schedule):
    """m = 1 - exp(-sigma), sigma from sigma_min to sigma_max in equal ratios. m(0) is about sigma_min, not 0."""

    sigma_min: float = 1e-3
    sigma_max: float = 20.0

    def __post_init__(self):
        ends = (self.sigma_min, self.sigma_max)
        check(0 < self.sigma_min < self.sigma_max, "schedule.sigma_min, schedule.sigma_max", ends, "0 < min < max")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return -torch.expm1(-self._sigma(t))

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        sigma = self._sigma(t)
        return torch.exp(-sigma) * sigma * math.log(self.sigma_max / self.sigma_min)

    def _sigma(self, t: Tensor) -> Tensor:
        t = t.to(torch.float64)
        return self.sigma_min ** (1 - t) * self.sigma_max**t


@register("schedule/shrunk", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class Shrunk(Schedule):
    """(1 - 2 eps) m + eps of another schedule: MD4's distance from both ends."""

    schedule: Schedule = field(default_factory=Linear)
    eps: float = 1e-4

    def __post_init__(self):
        check(0 <= self.eps < 0.5, "schedule.eps", self.eps, "in [0, 0.5)")

    def hidden(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - 2 * self.eps) * self.schedule.hidden(t) + self.eps

    def rate(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return (1 - 2 * self.eps) * self.schedule.rate(t)

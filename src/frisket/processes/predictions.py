"""What a gaussian network's output means. Every kind is a mixture p x0 + q noise whose p and q depend on the level.

With x_t = alpha x0 + sigma noise, two equations give both unknowns back; d = alpha q - sigma p is their determinant.
Kinds whose d vanishes at an end (noise at alpha = 0, x0 at sigma = 0) raise that coefficient to `FLOOR` = 1e-3 there,
and return the predicted half unchanged. Sources: DDPM 2006.11239 (noise), 2202.00512 (v), rectified flow 2209.03003
(flow), EDM 2206.00364 table 1 (edm), SiT 2401.08740 (score; its velocity points to the data because its time runs the
other way).
Shapes: b batch, `*s` the state's shape; the coefficients of a level broadcast against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.paths import FLOOR, Level

CITE_DDPM = "Ho, Jain, Abbeel. Denoising Diffusion Probabilistic Models. 2020. arXiv:2006.11239"
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
CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"
CITE_PD = "Salimans, Ho. Progressive Distillation for Fast Sampling of Diffusion Models. 2022. arXiv:2202.00512"

Pair = tuple[Tensor, Tensor]


@runtime_checkable
class Prediction(Protocol):
    """A registered value ("prediction/...")."""

    def mix(self, level: Level) -> Pair:
        """p and q of the mixture, broadcastable against the level's alpha."""
        ...

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        """x0 and noise (b, *s) from the prediction at x."""
        ...


def target(
    kind: Prediction, x0: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"], level: Level
) -> Float[Tensor, "b *s"]:
    """What a perfect network puts out."""
    p, q = kind.mix(level)
    return p * x0 + q * noise


def determinant(kind: Prediction, level: Level) -> Tensor:
    """d = alpha q - sigma p: an error e of x0 (x_t being fixed) is an error of -(d / sigma) e of the prediction."""
    p, q = kind.mix(level)
    return level.alpha * q - level.sigma * p


def _solve(kind: Prediction, pred: Tensor, x: Tensor, level: Level) -> Pair:
    p, q = kind.mix(level)
    d = level.alpha * q - level.sigma * p
    return (q * x - level.sigma * pred) / d, (level.alpha * pred - p * x) / d


@register("prediction/eps", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class Eps:
    """The noise."""

    def mix(self, level: Level) -> Pair:
        return torch.zeros_like(level.alpha), torch.ones_like(level.alpha)

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return (x - level.sigma * pred) / level.alpha.clamp(min=FLOOR), pred


@register("prediction/score", cite=CITE_SDE)
@dataclass(frozen=True, kw_only=True)
class Score:
    """The gradient of the log density: -noise / sigma, with sigma raised to FLOOR."""

    def mix(self, level: Level) -> Pair:
        return torch.zeros_like(level.alpha), -1 / level.sigma.clamp(min=FLOOR)

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        noise = -pred * level.sigma.clamp(min=FLOOR)
        return (x - level.sigma * noise) / level.alpha.clamp(min=FLOOR), noise


@register("prediction/x0")
@dataclass(frozen=True, kw_only=True)
class X0:
    """The data."""

    def mix(self, level: Level) -> Pair:
        return torch.ones_like(level.alpha), torch.zeros_like(level.alpha)

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return pred, (x - level.alpha * pred) / level.sigma.clamp(min=FLOOR)


@register("prediction/v", cite=CITE_PD)
@dataclass(frozen=True, kw_only=True)
class V:
    """alpha noise - sigma x0."""

    def mix(self, level: Level) -> Pair:
        return -level.sigma, level.alpha

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return _solve(self, pred, x, level)


@register("prediction/flow", cite=CITE_RF)
@dataclass(frozen=True, kw_only=True)
class Velocity:
    """The path's velocity dx / dt, from data to noise; noise - x0 on the straight path."""

    def mix(self, level: Level) -> Pair:
        return level.d_alpha, level.d_sigma

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return _solve(self, pred, x, level)


@register("prediction/flow-to-data", cite=CITE_SIT)
@dataclass(frozen=True, kw_only=True)
class VelocityToData:
    """The velocity with the other sign, x0 - noise on the straight path: what networks trained with t = 1 as data
    (SiT and its descendants) put out. Goes with `model-time/reversed`."""

    def mix(self, level: Level) -> Pair:
        return -level.d_alpha, -level.d_sigma

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return _solve(self, pred, x, level)


@register("prediction/edm", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class Preconditioned:
    """EDM's network F, with x0 = c_skip x + c_out F where x is the state over alpha. data: standard deviation of x0.

    In the mixture form nothing is divided by sigma: F = (level x0 / data - data noise) / sqrt(level^2 + data^2).
    """

    data: float = 0.5

    def __post_init__(self):
        check(self.data > 0, "prediction.data", self.data, "positive")

    def mix(self, level: Level) -> Pair:
        total = (level.sigma**2 + (level.alpha * self.data) ** 2).sqrt()
        return level.sigma / (self.data * total), -level.alpha * self.data / total

    def split(self, pred: Float[Tensor, "b *s"], x: Float[Tensor, "b *s"], level: Level) -> Pair:
        return _solve(self, pred, x, level)

"""Loss weights of gaussian processes, stated on the squared error of x0 and converted to that of the prediction.

An x0 error e (x_t fixed) is a prediction error -(d / sigma) e, with d of predictions.py, so a weight w on the x0 loss
is w sigma^2 / d^2 on the prediction's. alpha and sigma are raised to `FLOOR` first: every weight is finite at both
ends. Sources: min-SNR 2303.09556, truncated SNR 2202.00512, EDM 2206.00364, likelihood 2107.00630.
Shapes: those of the level.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.paths import FLOOR, Level
from frisket.processes.predictions import Prediction, Velocity, determinant

CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"
CITE_PD = "Salimans, Ho. Progressive Distillation for Fast Sampling of Diffusion Models. 2022. arXiv:2202.00512"
CITE_MINSNR = "Hang et al. Efficient Diffusion Training via Min-SNR Weighting Strategy. 2023. arXiv:2303.09556"
CITE_VDM = "Kingma et al. Variational Diffusion Models. 2021. arXiv:2107.00630"


@runtime_checkable
class Weight(Protocol):
    """A registered value ("weight/...")."""

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        """The weight of the squared error of `prediction`, in the level's shape and dtype."""
        ...


def _floored(level: Level) -> Level:
    return replace(level, alpha=level.alpha.clamp(min=FLOOR), sigma=level.sigma.clamp(min=FLOOR))


def _from_x0(weight: Tensor, prediction: Prediction, level: Level) -> Tensor:
    return weight * (level.sigma / determinant(prediction, level)) ** 2


def _snr(level: Level) -> Tensor:
    return (level.alpha / level.sigma) ** 2


@register("weight/none")
@dataclass(frozen=True, kw_only=True)
class NoWeight:
    """1: the plain squared error of the prediction."""

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        return torch.ones_like(level.alpha)


@register("weight/like")
@dataclass(frozen=True, kw_only=True)
class Like:
    """The loss that another prediction of the same network would have: `prediction` velocity, v, noise or x0."""

    prediction: Prediction = field(default_factory=Velocity)

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        level = _floored(level)
        return (determinant(self.prediction, level) / determinant(prediction, level)) ** 2


@register("weight/min-snr", cite=CITE_MINSNR)
@dataclass(frozen=True, kw_only=True)
class MinSNR:
    """min(SNR, gamma) on the x0 loss."""

    gamma: float = 5.0

    def __post_init__(self):
        check(self.gamma > 0, "weight.gamma", self.gamma, "positive")

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        level = _floored(level)
        return _from_x0(_snr(level).clamp(max=self.gamma), prediction, level)


@register("weight/truncated-snr", cite=CITE_PD)
@dataclass(frozen=True, kw_only=True)
class TruncatedSNR:
    """max(SNR, least) on the x0 loss."""

    least: float = 1.0

    def __post_init__(self):
        check(self.least > 0, "weight.least", self.least, "positive")

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        level = _floored(level)
        return _from_x0(_snr(level).clamp(min=self.least), prediction, level)


@register("weight/edm", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class EDMWeight:
    """EDM: 1 / level^2 + 1 / data^2 on the x0 loss, which is exactly 1 on the EDM prediction."""

    data: float = 0.5

    def __post_init__(self):
        check(self.data > 0, "weight.data", self.data, "positive")

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        level = _floored(level)
        return _from_x0(_snr(level) + self.data**-2, prediction, level)


@register("weight/likelihood", cite=CITE_VDM)
@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """-SNR'(t) / 2 on the x0 loss: the continuous variational bound, up to constants."""

    def on(self, prediction: Prediction, level: Level) -> Float[Tensor, "..."]:
        level = _floored(level)
        slope = level.d_sigma / level.sigma - level.d_alpha / level.alpha
        return _from_x0(_snr(level) * slope, prediction, level)

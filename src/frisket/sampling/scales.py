"""Guidance scales as functions of time: constant, power-cosine, on an interval.

Sources: classifier-free guidance arXiv 2207.12598; power-cosine arXiv 2303.14389 (MDT, its released sampler); interval
arXiv 2404.07724. A scale of 1 is no guidance. Shapes: b batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register

CITE_MDT = "Gao et al. Masked Diffusion Transformer is a Strong Image Synthesizer. 2023. arXiv:2303.14389"
CITE_INTERVAL = (
    "Kynkäänniemi et al. Applying Guidance in a Limited Interval Improves Sample and Distribution "
    "Quality in Diffusion Models. 2024. arXiv:2404.07724"
)


class Scale(Protocol):
    """A registered value ("scale/..."); returns (b,), or more axes that broadcast against the prediction (a map over
    space)."""

    def at(self, t: Float[Tensor, "b"]) -> Tensor: ...


@register("scale/constant")
@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same scale at every time."""

    value: float = 1.0

    def at(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        return torch.full_like(t, self.value)


@register("scale/power-cosine", cite=CITE_MDT)
@dataclass(frozen=True, kw_only=True)
class PowerCosine:
    """1 + (value - 1) (1 - cos(pi (1 - t)^power)) / 2: none at t = 1, `value` at t = 0; a higher power acts later."""

    value: float = 3.8
    power: float = 4.0

    def __post_init__(self):
        check(self.power > 0, "scale.power", self.power, "positive")

    def at(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        return 1 + (self.value - 1) * (1 - torch.cos(math.pi * (1 - t) ** self.power)) / 2


@register("scale/linear")
@dataclass(frozen=True, kw_only=True)
class Linear:
    """From `first` at t = 1 to `last` at t = 0."""

    first: float = 1.0
    last: float = 3.0

    def at(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        return self.last + (self.first - self.last) * t


@register("scale/interval", cite=CITE_INTERVAL)
@dataclass(frozen=True, kw_only=True)
class Interval:
    """`inside` where low < t <= high, 1 elsewhere (there the branch is not even computed)."""

    inside: Scale = Constant(value=3.0)
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        check(
            0 <= self.low < self.high <= 1, "scale interval (low, high)", (self.low, self.high), "0 <= low < high <= 1"
        )

    def at(self, t: Float[Tensor, "b"]) -> Tensor:
        inner = self.inside.at(t)
        within = ((t > self.low) & (t <= self.high)).reshape(-1, *[1] * (inner.ndim - 1))
        return torch.where(within, inner, torch.ones_like(inner))

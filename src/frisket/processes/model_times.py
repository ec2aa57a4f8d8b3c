"""The number a network is fed for t. The process's own t never changes; published networks each want their own.

Sources: official DiT (integer steps 0..999), SiT (its time runs from noise to data), EDM c_noise = log(level) / 4.
Shapes: any shape in, the same shape out, float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register

CITE_SIT = (
    "Ma et al. SiT: Exploring Flow and Diffusion-based Generative Models with Scalable "
    "Interpolant Transformers. 2024. arXiv:2401.08740"
)
CITE_DIT = "Peebles, Xie. Scalable Diffusion Models with Transformers. 2022. arXiv:2212.09748"

LIMIT = 20.0  # log SNR is kept within this; beyond it one end looks like the other side of float32


@runtime_checkable
class HasLogSNR(Protocol):
    """A gaussian path, or a masking schedule with the log odds of being visible."""

    def log_snr(self, t: Tensor) -> Tensor: ...


@runtime_checkable
class ModelTime(Protocol):
    """A registered value ("model-time/...")."""

    def of(self, t: Float[Tensor, "..."], law: HasLogSNR) -> Float[Tensor, "..."]: ...


@register("model-time/unit")
@dataclass(frozen=True, kw_only=True)
class Unit:
    """t itself."""

    def of(self, t: Float[Tensor, "..."], law: HasLogSNR) -> Float[Tensor, "..."]:
        return t.to(torch.float32)


@register("model-time/thousand", cite=CITE_DIT)
@dataclass(frozen=True, kw_only=True)
class Thousand:
    """steps t - 1, not below 0: the index of a discrete step (DiT), a fraction between steps."""

    steps: int = 1000

    def __post_init__(self):
        check(self.steps >= 1, "time.steps", self.steps, "at least 1")

    def of(self, t: Float[Tensor, "..."], law: HasLogSNR) -> Float[Tensor, "..."]:
        return (t.to(torch.float64) * self.steps - 1).clamp(min=0).to(torch.float32)


@register("model-time/reversed", cite=CITE_SIT)
@dataclass(frozen=True, kw_only=True)
class Reversed:
    """1 - t: networks whose t = 1 is data (SiT). Goes with `prediction/flow-to-data`."""

    def of(self, t: Float[Tensor, "..."], law: HasLogSNR) -> Float[Tensor, "..."]:
        return (1 - t.to(torch.float64)).to(torch.float32)


@register("model-time/log-snr")
@dataclass(frozen=True, kw_only=True)
class LogSNR:
    """scale log SNR(t), log SNR kept within +-20. scale = -1/8 is EDM's c_noise, a quarter of the log noise level."""

    scale: float = 1.0

    def of(self, t: Float[Tensor, "..."], law: HasLogSNR) -> Float[Tensor, "..."]:
        return (law.log_snr(t).clamp(-LIMIT, LIMIT) * self.scale).to(torch.float32)

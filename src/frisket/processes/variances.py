"""The variance of one ancestral step from t to s: fixed at one of its two bounds, or learned between them.

Source: official DiT (diffusion/gaussian_diffusion.py) and Nichol and Dhariwal 2102.09672. The lower bound is the
posterior's variance, the upper one the step's own noise (beta). At s = 0 the posterior's is 0, so its logarithm is
taken from the step just before it of equal length (2t to t); that is the official clipping for unspaced steps, and no
noise is added there. A learned variance is trained by the variational bound with the mean held fixed, in bits an
element.
Shapes: b batch, `*s` the state's shape.
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

CITE_DDPM = "Ho, Jain, Abbeel. Denoising Diffusion Probabilistic Models. 2020. arXiv:2006.11239"
CITE_IDDPM = "Nichol, Dhariwal. Improved Denoising Diffusion Probabilistic Models. 2021. arXiv:2102.09672"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of q(x_s | x_t, x0): mean (b, *s); log variances at the two bounds and whether s = 0, broadcastable to it."""

    mean: Tensor
    lower: Tensor
    upper: Tensor
    final: Tensor


@runtime_checkable
class Variance(Protocol):
    """A registered value ("variance/...")."""

    def outputs(self, channels: int) -> int: ...

    def split(self, pred: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The prediction proper and, if learned, where the log variance lies between the bounds (0 to 1)."""
        ...

    def log_variance(self, moments: Moments, fraction: Tensor | None) -> Tensor: ...

    def bound_steps(self) -> int:
        """Into how many steps the variational bound that trains it cuts [0, 1]; 0 if nothing is trained."""
        ...


def _plain(pred: Tensor, x: Tensor) -> tuple[Tensor, None]:
    if pred.shape != x.shape:
        raise FrisketError(f"the prediction has shape {tuple(pred.shape)}; the state has {tuple(x.shape)}")
    return pred, None


@register("variance/fixed-small", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class FixedSmall:
    """The posterior's variance."""

    def outputs(self, channels: int) -> int:
        return channels

    def split(self, pred: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return _plain(pred, x)

    def log_variance(self, moments: Moments, fraction: Tensor | None) -> Tensor:
        return moments.lower

    def bound_steps(self) -> int:
        return 0


@register("variance/fixed-large", cite=CITE_DDPM)
@dataclass(frozen=True, kw_only=True)
class FixedLarge:
    """The step's own noise; at s = 0 the lower bound."""

    def outputs(self, channels: int) -> int:
        return channels

    def split(self, pred: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return _plain(pred, x)

    def log_variance(self, moments: Moments, fraction: Tensor | None) -> Tensor:
        return torch.where(moments.final, moments.lower, moments.upper)

    def bound_steps(self) -> int:
        return 0


@register("variance/learned-range", cite=CITE_IDDPM)
@dataclass(frozen=True, kw_only=True)
class LearnedRange:
    """The second half of the channels, v in about [-1, 1], puts the log variance at (v + 1) / 2 between the bounds.
    It is not clipped. steps: into how many steps the bound that trains it cuts [0, 1]."""

    steps: int = 1000

    def __post_init__(self):
        check(self.steps >= 2, "variance.steps", self.steps, "at least 2")

    def outputs(self, channels: int) -> int:
        return 2 * channels

    def split(self, pred: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        wanted = (x.shape[0], 2 * x.shape[1], *x.shape[2:])
        if tuple(pred.shape) != wanted:
            raise FrisketError(f"a learned variance needs a prediction of shape {wanted}, not {tuple(pred.shape)}")
        mean, v = pred.chunk(2, dim=1)
        return mean, (v + 1) / 2

    def log_variance(self, moments: Moments, fraction: Tensor | None) -> Tensor:
        if fraction is None:
            raise FrisketError("estimate.variance is None; a learned variance needs the network's own")
        return fraction * moments.upper + (1 - fraction) * moments.lower

    def bound_steps(self) -> int:
        return self.steps


def kl_bits(mean1: Tensor, log1: Tensor, mean2: Tensor, log2: Tensor) -> Float[Tensor, "b *s"]:
    """KL divergence an element between two normals given by means and log variances, in bits."""
    nats = 0.5 * (log2 - log1 - 1 + (log1 - log2).exp() + (mean1 - mean2) ** 2 * (-log2).exp())
    return nats / math.log(2)


def nll_bits(x: Tensor, mean: Tensor, log_variance: Tensor, half: float = 1 / 255) -> Float[Tensor, "b *s"]:
    """Bits an element of x in [-1, 1] on a lattice of spacing 2 `half` under a normal; the end cells are open.

    The normal's distribution function is the tanh approximation of the official code; probabilities stop at 1e-12.
    """
    scale = (-0.5 * log_variance).exp()
    above, below = _cdf(scale * (x - mean + half)), _cdf(scale * (x - mean - half))
    inside = torch.where(x > 0.999, 1 - below, above - below)
    probability = torch.where(x < -0.999, above, inside)
    return -probability.clamp(min=1e-12).log() / math.log(2)


def _cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

"""Averages of the weights while they train, several at once, for evaluation and for post-hoc EMA.

`Fixed` is the usual exponential average with a warm-up; `Power` averages with the profile t^gamma of arXiv 2312.02696
(eq. 5-7: beta(t) = (1 - dt / t)^(gamma + 1), gamma from the relative width sigma_rel), and `reconstruct` solves its
eq. 9-11 for a width that was not tracked. Time is counted in samples. Averages are float32 and live on the pieces
that this process holds, so sharded weights cost what plain ones do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.training.layout import cut, full, local


class Ema(Protocol):
    """A registered value ("ema/...") with a `label` that names its average in files."""

    @property
    def label(self) -> str: ...

    def decay(self, samples: int, batch: int) -> float:
        """How much of the old average stays in the update that ends at `samples` samples and used `batch` of them."""
        ...


@register("ema/fixed")
@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Decay `rate` an update, during the first updates k at most (1 + k) / (warmup + k); warmup 1 switches that off."""

    rate: float = 0.9999
    warmup: int = 10

    def __post_init__(self):
        check(0 <= self.rate < 1, "ema.rate", self.rate, "at least 0 and below 1")
        check(self.warmup >= 1, "ema.warmup", self.warmup, "1 or more")

    @property
    def label(self) -> str:
        return f"fixed-{self.rate:g}"

    def decay(self, samples: int, batch: int) -> float:
        k = samples // batch
        return min(self.rate, (1 + k) / (self.warmup + k))


@register("ema/power")
@dataclass(frozen=True, kw_only=True)
class Power:
    """Power-function average whose profile has the standard deviation `width` (sigma_rel) relative to the run."""

    width: float = 0.1

    def __post_init__(self):
        check(0 < self.width < 0.2886, "ema.width", self.width, "above 0 and below 0.2886 (gamma above 0)")

    @property
    def label(self) -> str:
        return f"power-{self.width:g}"

    @property
    def gamma(self) -> float:
        return gamma_of(self.width)

    def decay(self, samples: int, batch: int) -> float:
        return (1.0 - min(1.0, batch / samples)) ** (self.gamma + 1.0)


def gamma_of(width: float) -> float:
    """The exponent whose profile has relative width `width`: the largest root of (g+2)^2 (g+3) width^2 = g + 1."""
    inverse = width**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


class Averages:
    """The running averages of some parameters, by label and parameter name."""

    def __init__(self, emas: Sequence[Ema], parameters: Mapping[str, Tensor]):
        labels = [e.label for e in emas]
        check(len(set(labels)) == len(labels), "emas", labels, "of distinct labels")
        self.emas = {e.label: e for e in emas}
        self.parameters = dict(parameters)
        self.values = {
            label: [local(p).to(torch.float32, copy=True) for p in self.parameters.values()] for label in labels
        }

    @torch.no_grad()
    def update(self, samples: int, batch: int) -> None:
        """Take in the weights after the update that ends at `samples` samples."""
        now = [local(p).to(torch.float32) for p in self.parameters.values()]
        for label, ema in self.emas.items():
            torch._foreach_lerp_(self.values[label], now, 1.0 - ema.decay(samples, batch))

    @torch.no_grad()
    def _write(self, values: Sequence[Tensor]) -> None:
        for p, value in zip(self.parameters.values(), values, strict=True):
            local(p).copy_(value)

    @contextmanager
    def swapped(self, label: str | None) -> Iterator[None]:
        """The model holds the average `label` in the block and bit for bit its own weights after; None: no swap."""
        if label is None:
            yield
            return
        held = [local(p).clone() for p in self.parameters.values()]
        self._write(self.values[label])
        try:
            yield
        finally:
            self._write(held)

    def full(self, label: str) -> dict[str, Tensor]:
        """One average as full tensors by parameter name (a collective call when sharded)."""
        return {n: full(v, p) for (n, p), v in zip(self.parameters.items(), self.values[label], strict=True)}

    def state(self) -> dict[str, Tensor]:
        """All averages as full tensors, named "ema/<label>/<parameter>"."""
        return {f"ema/{label}/{n}": v for label in self.emas for n, v in self.full(label).items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `state`. Raises `FrisketError` if an average or a parameter is missing."""
        for label in self.emas:
            for (name, p), value in zip(self.parameters.items(), self.values[label], strict=True):
                key = f"ema/{label}/{name}"
                if key not in tensors:
                    raise FrisketError(f"the checkpoint has no {key!r}; resume with the averages it was saved with")
                value.copy_(local(cut(tensors[key], p)))


def _overlap(t_a: float, gamma_a: float, t_b: float, gamma_b: float) -> float:
    """Inner product of two profiles p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1) on [0, t]."""
    later = gamma_a if t_a > t_b else gamma_b
    ratio = (min(t_a, t_b) / max(t_a, t_b)) ** later
    return (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1) * ratio / max(t_a, t_b)


def mixture(held: Sequence[tuple[float, float]], t: float, width: float) -> np.ndarray:
    """Coefficients of stored averages, each (its time, its gamma), whose sum is nearest in least squares to the profile
    of relative width `width` that ends at time `t`."""
    gamma = gamma_of(width)
    grid = np.array([[_overlap(*a, *b) for b in held] for a in held], dtype=np.float64)
    goal = np.array([_overlap(*a, t, gamma) for a in held], dtype=np.float64)
    return np.linalg.lstsq(grid, goal, rcond=None)[0]


def reconstruct(
    snapshots: Sequence[tuple[float, float, Mapping[str, Tensor]]], width: float, t: float | None = None
) -> dict[str, Tensor]:
    """Post-hoc EMA: weights averaged with a width that was not tracked, from stored power-function averages.

    snapshots: (samples, gamma, weights) of at least two averages. t: where the profile ends, in samples; the last
    snapshot by default. Raises `FrisketError` on fewer than two snapshots or a `t` after the last.
    """
    check(len(snapshots) >= 2, "snapshots", len(snapshots), "at least two")
    last = max(s[0] for s in snapshots)
    end = last if t is None else t
    check(0 < end <= last, "t", end, f"above 0 and at most {last}")
    factors = mixture([(s[0] / end, s[1]) for s in snapshots], 1.0, width)
    names = snapshots[0][2].keys()
    summed = {
        n: sum(float(f) * s[2][n].to(torch.float64) for f, s in zip(factors, snapshots, strict=True)) for n in names
    }
    return {n: torch.as_tensor(v).to(torch.float32) for n, v in summed.items()}

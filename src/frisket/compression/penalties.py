"""What open gates cost: terms that push the logits of unit gates down.

Source: arXiv 2412.02852; facts from YaNgZhAnG-V5/EcoDiff src/sdib/utils/utils.py (calculate_reg_loss) and its configs.
Each gives one number for a list of layers' logits. Shapes: u units of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from frisket.compression.gates import SHARPNESS, STRETCH
from frisket.core.errors import check
from frisket.core.registry import register


@runtime_checkable
class Penalty(Protocol):
    """A registered value ("penalty/...")."""

    def of(self, logits: Sequence[Tensor]) -> Tensor:
        """A scalar, the mean over layers."""
        ...


@register("penalty/bounded")
@dataclass(frozen=True, kw_only=True)
class Bounded:
    """||sigmoid(slope logits + shift)||_power / u: its gradient fades where a gate is shut or wide open (FLUX: power 1,
    DiT: power 2)."""

    power: int = 1
    slope: float = 0.4
    shift: float = 1.0

    def __post_init__(self):
        check(self.power in (1, 2), "penalty.power", self.power, "1 or 2")

    def of(self, logits: Sequence[Tensor]) -> Tensor:
        return _mean([torch.sigmoid(v * self.slope + self.shift).norm(self.power) / len(v) for v in logits])


@register("penalty/norm")
@dataclass(frozen=True, kw_only=True)
class Norm:
    """||logits||_power / u (SDXL). It pulls logits to 0, not below."""

    power: int = 1

    def __post_init__(self):
        check(self.power in (1, 2), "penalty.power", self.power, "1 or 2")

    def of(self, logits: Sequence[Tensor]) -> Tensor:
        return _mean([v.norm(self.power) / len(v) for v in logits])


@register("penalty/expected")
@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected number of gates that are not 0 (arXiv 1712.01312, eq. 12), summed over a layer's units."""

    def of(self, logits: Sequence[Tensor]) -> Tensor:
        offset = SHARPNESS * math.log(STRETCH / (1 + STRETCH))
        return _mean([torch.sigmoid(v - offset).sum() for v in logits])


def _mean(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean() if terms else torch.zeros(())

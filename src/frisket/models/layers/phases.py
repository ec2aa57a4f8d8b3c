"""Modulation of blocks that several phases share: a little of each block's scale and gate is the phase's own.

Hi-MAR (arXiv 2505.20288; facts from HiDream-ai/himar models/himar.py `Block`): one linear layer for all blocks makes
numbers a of the phase's embedding; a block uses a S_k + B_k, its own vectors for phase k. S starts at zero and B at
scale 0 and gate 1, so every block starts as the plain one. There is no shift.
Shapes: b batch, d width, k phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import ZEROS, linear, parameter
from frisket.models.layers.base import Side
from frisket.models.layers.modulation import shared_key

CITE = "Zheng et al. Hierarchical Masked Autoregressive Models with Low-Resolution Token Pivots. 2025. arXiv:2505.20288"


@register("modulation/phases", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Phases:
    """phases: how many. For blocks whose branches use scale and gate, in this order."""

    phases: int = 2

    def __post_init__(self):
        check(self.phases >= 1, "modulation.phases", self.phases, "at least 1")

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _Phases(self, width, count)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return linear(condition, width * count, role="modulation")


@dataclass(frozen=True)
class OpenGates:
    """Zeros where a scale stands and ones where a gate does."""

    width: int

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.zero_().unflatten(-1, (-1, 2, self.width))[..., 1, :] = 1.0


class _Phases(nn.Module):
    scale: Tensor
    offset: Tensor

    def __init__(self, config: Phases, width: int, count: int):
        super().__init__()
        check(count % 2 == 0, "numbers of a block under modulation/phases", count, "a scale and a gate for each branch")
        self.key = shared_key(config, count)
        parameter(self, "scale", (config.phases, count * width), ZEROS, "modulation")
        parameter(self, "offset", (config.phases, count * width), OpenGates(width), "vector")

    def forward(self, side: Side) -> Tensor:
        return side.shared[self.key] * self.scale[side.phase] + self.offset[side.phase]

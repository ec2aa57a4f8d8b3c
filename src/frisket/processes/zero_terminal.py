"""A variance-preserving path that ends in noise alone.

Lin et al. (arXiv 2305.08891, algorithm 1; facts from diffusers `rescale_zero_terminal_snr`): the square roots of
alpha-bar are shifted and scaled so that the last is zero and the first stays. An alpha-bar of exactly zero has no
logarithm, on which the path is built; the last beta is held just below one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from frisket.core.registry import register
from frisket.processes.paths import DiscretePath, VPScaled

CITE = "Lin et al. Common Diffusion Noise Schedules and Sample Steps are Flawed. 2023. arXiv:2305.08891"
LAST = 1 - 1e-9  # beta of the last step


@register("path/vp-zero-terminal", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class VPZeroTerminal(DiscretePath):
    """The betas of `VPScaled` rescaled to end without signal (CogVideoX)."""

    steps: int = 1000
    first: float = 0.00085
    last: float = 0.012

    def __post_init__(self):
        _ = self._plain  # checks the numbers

    @property
    def _plain(self) -> VPScaled:
        return VPScaled(steps=self.steps, first=self.first, last=self.last)

    def betas(self) -> tuple[float, ...]:
        roots, kept = [], 1.0
        for beta in self._plain.betas():
            kept *= 1 - beta
            roots.append(math.sqrt(kept))
        scale = roots[0] / (roots[0] - roots[-1])
        scaled = [1.0, *((root - roots[-1]) * scale for root in roots)]
        return tuple(min(1 - (b / a) ** 2, LAST) for a, b in pairwise(scaled))

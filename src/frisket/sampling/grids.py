"""Time grids: where the sampler stops between t = 1 and t = 0.

Sources: shifted grid arXiv 2403.03206; rho spacing arXiv 2206.00364 (its eq. 5); resampling arXiv
2201.09865 (its algorithm 1 with jumps); respacing of discrete steps read from the DiT and improved-diffusion releases
for facts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.processes.base import Process
from frisket.sampling.base import TimeGrid
from frisket.sampling.levels import time_of_ratio

CITE_SHIFT = (
    "Esser et al. Scaling Rectified Flow Transformers for High-Resolution Image Synthesis. 2024. arXiv:2403.03206"
)
CITE_MD4 = "Shi et al. Simplified and Generalized Masked Diffusion for Discrete Data. 2024. arXiv:2406.04329"
CITE_EDM = "Karras et al. Elucidating the Design Space of Diffusion-Based Generative Models. 2022. arXiv:2206.00364"
CITE_IDDPM = "Nichol, Dhariwal. Improved Denoising Diffusion Probabilistic Models. 2021. arXiv:2102.09672"
CITE_MUSE = "Chang et al. Muse: Text-To-Image Generation via Masked Generative Transformers. 2023. arXiv:2301.00704"
CITE_REPAINT = (
    "Lugmayr et al. RePaint: Inpainting using Denoising Diffusion Probabilistic Models. 2022. arXiv:2201.09865"
)


@register("grid/uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Equal moves."""

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        return torch.arange(steps, -1, -1, dtype=torch.float64) / steps


@register("grid/shifted", cite=CITE_SHIFT)
@dataclass(frozen=True, kw_only=True)
class Shifted:
    """shift u / (1 + (shift - 1) u) of the `base` grid: a shift above 1 spends more moves near noise."""

    shift: float = 3.0
    base: TimeGrid = Uniform()

    def __post_init__(self):
        check(self.shift > 0, "grid.shift", self.shift, "positive")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        u = self.base.times(steps, process)
        return torch.where(u == 1, u, self.shift * u / (1 + (self.shift - 1) * u))  # 1 stays 1, whatever the rounding


@register("grid/last")
@dataclass(frozen=True, kw_only=True)
class Last:
    """Equal moves from 1 down to `last`, then one to 0 (DDT and SPRINT end with a longer move than the others)."""

    last: float = 0.04

    def __post_init__(self):
        check(0 < self.last < 1, "grid.last", self.last, "above 0 and below 1")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        if steps == 1:
            return Uniform().times(1, process)
        down = torch.linspace(1.0, self.last, steps, dtype=torch.float64)
        return torch.cat([down, torch.zeros(1, dtype=torch.float64)])


@register("grid/power")
@dataclass(frozen=True, kw_only=True)
class Power:
    """u^power of the uniform grid; 2 is the quadratic grid, which is dense near the data."""

    power: float = 2.0

    def __post_init__(self):
        check(self.power > 0, "grid.power", self.power, "positive")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        return Uniform().times(steps, process) ** self.power


@register("grid/cosine", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """cos(pi/2 (1 - u)) of the uniform grid: small moves near t = 1 (the grid that MD4 samples with)."""

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        out = torch.cos(math.pi / 2 * (1 - Uniform().times(steps, process)))
        out[-1] = 0.0
        return out


@register("grid/rho", cite=CITE_EDM)
@dataclass(frozen=True, kw_only=True)
class Rho:
    """Noise-to-signal ratios spaced evenly in their 1/rho-th power from `high` to `low`, then zero; turned into times
    by bisection on the process's own path, so it serves every gaussian path. The first time is below 1 if `high` is
    below the path's own highest ratio."""

    low: float = 0.002
    high: float = 80.0
    rho: float = 7.0

    def __post_init__(self):
        check(0 < self.low < self.high, "grid (low, high)", (self.low, self.high), "0 < low < high")
        check(self.rho > 0, "grid.rho", self.rho, "positive")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        check(steps >= 2, "steps", steps, "at least 2 for grid/rho")
        u = torch.arange(steps, dtype=torch.float64) / (steps - 1)
        ends = self.high ** (1 / self.rho), self.low ** (1 / self.rho)
        ratios = (ends[0] + u * (ends[1] - ends[0])) ** self.rho
        return torch.cat([time_of_ratio(process, ratios), torch.zeros(1, dtype=torch.float64)])


@register("grid/respaced", cite=CITE_IDDPM)
@dataclass(frozen=True, kw_only=True)
class Respaced:
    """Some of the `steps_trained` discrete times i = 0..steps_trained-1 of a discrete-time process, t = (i + 1) /
    steps_trained, then 0. counts: how many of each of as many equal sections, from data to noise; () takes all `steps`
    from one section. The strides are fractional and rounded, ends included."""

    steps_trained: int = 1000
    counts: tuple[int, ...] = ()

    def __post_init__(self):
        check(self.steps_trained >= 1, "grid.steps_trained", self.steps_trained, "at least 1")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        counts = self.counts or (steps,)
        check(sum(counts) == steps, "grid.counts", counts, f"a tuple that adds up to steps = {steps}")
        chosen = torch.tensor(self.indices(counts)[::-1], dtype=torch.float64)
        return torch.cat([(chosen + 1) / self.steps_trained, torch.zeros(1, dtype=torch.float64)])

    def indices(self, counts: tuple[int, ...]) -> list[int]:
        """The chosen discrete steps, ascending."""
        size, extra = divmod(self.steps_trained, len(counts))
        out: list[int] = []
        first = 0
        for section, count in enumerate(counts):
            length = size + (section < extra)
            check(1 <= count <= length, "steps of a grid section", count, f"between 1 and its {length} discrete steps")
            stride = (length - 1) / (count - 1) if count > 1 else 1.0
            position = 0.0
            for _ in range(count):
                out.append(first + round(position))
                position += stride
            first += length
        return out


@register("grid/rounds", cite=CITE_MUSE)
@dataclass(frozen=True, kw_only=True)
class Rounds:
    """From `level` down to 0, `rounds` times over, along the `base` grid of so many steps; between rounds one forward
    step of the process goes up again. On ids this hides a random share of them and draws it anew, again and again:
    Muse's editing without a mask. On continuous states one round is SDEdit."""

    level: float = 0.5
    rounds: int = 1
    base: TimeGrid = Uniform()

    def __post_init__(self):
        check(0 < self.level <= 1, "grid.level", self.level, "above 0 and at most 1")
        check(self.rounds >= 1, "grid.rounds", self.rounds, "at least 1")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        return (self.base.times(steps, process) * self.level).repeat(self.rounds)


@register("grid/repaint", cite=CITE_REPAINT)
@dataclass(frozen=True, kw_only=True)
class Repaint:
    """The `base` grid, with every `jump` moves made `resamples` times: down by `jump`, up again, and so on. A way up is
    one forward step of the process, which is the same in law as `jump` small ones. With a correction that imposes the
    known, this is RePaint. Moves down: about steps x resamples, so its cost is that of a longer plain grid."""

    jump: int = 10
    resamples: int = 10
    base: TimeGrid = Uniform()

    def __post_init__(self):
        check(self.jump >= 1, "grid.jump", self.jump, "at least 1")
        check(self.resamples >= 1, "grid.resamples", self.resamples, "at least 1")

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        plain = self.base.times(steps, process)
        order = [0]
        for first in range(0, steps, self.jump):
            stretch = list(range(first + 1, min(first + self.jump, steps) + 1))
            for turn in range(self.resamples):
                if turn:
                    order.append(first)
                order += stretch
        return plain[order]

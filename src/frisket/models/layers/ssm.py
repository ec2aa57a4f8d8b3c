"""A state-space mixer: tokens are mixed by scans along the raster, at a cost linear in their number.

The two-way Mamba block of Vim (arXiv 2401.09417; facts from hustvl/Vim mamba_simple.py, `bimamba_type="v2"`), which DiM
(arXiv 2405.15881) puts in attention's place. One projection in gives values and gates; each way turns the sequence
round if it runs backward, convolves, scans and gates; the sum of the ways is projected out. A way's convolution, scan
and skip are its own. Chosen here: the initial time scales of Mamba (arXiv 2312.00752) for every way, where Vim leaves
those of the second to torch's default.
Shapes: b batch, n tokens, d width, e channels, w ways, s states a channel, r rank of the step sizes, k taps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, silu, softplus

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import ONES, ZEROS, Mark, Uniform, linear, mark, parameter
from frisket.models.layers.base import BranchCall, Sizes, whole_grid
from frisket.models.layers.scan import Kernel, selective_scan
from frisket.models.tokens import Tokens

Direction = Literal["forward", "backward"]
FASTEST, SLOWEST, LEAST = 1e-1, 1e-3, 1e-4  # step sizes at the start: the range they are drawn from, and their floor


@register("mixer/ssm")
@dataclass(frozen=True, kw_only=True)
class SSM:
    """directions: of the scans; two scans may go the same way. expand: channels over width. states: of a channel. taps:
    of the convolution in front of a scan. rank: of the step sizes; a sixteenth of the width, rounded up, if None.
    kernel: how the scan is computed; both give the same result. It reads the whole grid in raster order."""

    directions: tuple[Direction, ...] = ("forward", "backward")
    expand: int = 2
    states: int = 16
    taps: int = 4
    rank: int | None = None
    kernel: Kernel = "chunked"

    def __post_init__(self):
        known = bool(self.directions) and set(self.directions) <= {"forward", "backward"}
        check(known, "ssm.directions", self.directions, "at least one of forward and backward")
        for name in ("expand", "states", "taps"):
            check(getattr(self, name) >= 1, f"ssm.{name}", getattr(self, name), "at least 1")
        check(self.rank is None or self.rank >= 1, "ssm.rank", self.rank, "at least 1, or None")

    def build(self, sizes: Sizes) -> nn.Module:
        return _SSM(self, sizes.width)


@dataclass(frozen=True)
class _LogCounts:
    """log 1 .. log s along the last axis: each channel starts with states of s different speeds."""

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.copy_(torch.arange(1, value.shape[-1] + 1).log().expand_as(value))


@dataclass(frozen=True)
class _StepSizes:
    """What softplus makes a step size, log-uniform between `SLOWEST` and `FASTEST`."""

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.uniform_(math.log(SLOWEST), math.log(FASTEST), generator=generator)
        value.exp_().clamp_(min=LEAST)
        value.add_(torch.log(-torch.expm1(-value)))


class _Way(nn.Module):
    """What one scan owns: all but the projections in and out."""

    taps: Tensor
    bias: Tensor
    decay: Tensor
    skip: Tensor

    def __init__(self, config: SSM, channels: int, rank: int):
        super().__init__()
        self.sizes = (rank, config.states, config.states)
        parameter(self, "taps", (channels, config.taps), Uniform(config.taps**-0.5), "vector")
        parameter(self, "bias", (channels,), ZEROS, "vector")
        self.reads = linear(channels, sum(self.sizes), bias=False)
        self.step = mark(linear(rank, channels, law=Uniform(rank**-0.5)), bias=Mark(_StepSizes(), "vector"))
        parameter(self, "decay", (channels, config.states), _LogCounts(), "vector")
        parameter(self, "skip", (channels,), ONES, "vector")

    def convolve(self, x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
        """Each channel over a token and those before it."""
        before = pad(x.transpose(1, 2), (self.taps.shape[1] - 1, 0))
        return silu(conv1d(before, self.taps.unsqueeze(1), self.bias, groups=len(self.bias))).transpose(1, 2)

    def inputs(self, x: Float[Tensor, "b n e"]) -> tuple[Tensor, Tensor, Tensor]:
        """dt (b, n, e), b and c (b, n, s), chosen by the tokens."""
        low, b, c = self.reads(x).split(self.sizes, -1)
        return softplus(self.step(low).float()), b, c


class _SSM(nn.Module):
    def __init__(self, config: SSM, width: int):
        super().__init__()
        self.directions, self.kernel = config.directions, config.kernel
        channels = config.expand * width
        rank = -(-width // 16) if config.rank is None else config.rank
        self.enter = linear(width, 2 * channels, bias=False)
        self.ways = nn.ModuleList([_Way(config, channels, rank) for _ in config.directions])
        self.leave = linear(channels, width, bias=False)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        whole_grid(tokens, call.side, "mixer/ssm")
        values, gate = self.enter(tokens.h).chunk(2, -1)
        x = torch.stack([way.convolve(self._turn(values, i)) for i, way in enumerate(self.ways)])  # type: ignore[operator]
        dt, b, c = (torch.stack(p) for p in zip(*(w.inputs(v) for w, v in zip(self.ways, x, strict=True)), strict=True))  # type: ignore[operator]
        a = -torch.stack([way.decay.float().exp() for way in self.ways])  # type: ignore[union-attr,operator]
        y = selective_scan(dt * x, dt, a, b, c, self.kernel).to(x.dtype)  # (w, b, n, e)
        skip = torch.stack([way.skip for way in self.ways])  # type: ignore[misc]
        y = torch.addcmul(y, skip[:, None, None].to(x.dtype), x)
        mixed = sum(self._turn(part, i) for i, part in enumerate(y))
        return self.leave(mixed * silu(gate))

    def _turn(self, x: Float[Tensor, "b n e"], way: int) -> Float[Tensor, "b n e"]:
        """The sequence as this way reads it, and back."""
        return x.flip(1) if self.directions[way] == "backward" else x

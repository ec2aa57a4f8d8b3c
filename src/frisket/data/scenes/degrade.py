"""Graded damage to images in [0, 1]: blur, lost resolution, noise, few tones. Level 0 changes nothing.

Shapes: b images, c channels, h w pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check


def blur(x: Float[Tensor, "b c h w"], level: float) -> Float[Tensor, "b c h w"]:
    """Gaussian of standard deviation `level` pixels; borders repeat the last pixel."""
    check(level >= 0, "level", level, "a standard deviation in pixels, at least 0")
    if level == 0:
        return x
    reach = math.ceil(4 * level)
    t = torch.arange(-reach, reach + 1, dtype=x.dtype)
    kernel = torch.exp(-(t**2) / (2 * level**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    wide = F.pad(x, (reach,) * 4, mode="replicate")
    wide = F.conv2d(wide, kernel[:, :, :, None], groups=x.shape[1])
    return F.conv2d(wide, kernel[:, :, None, :], groups=x.shape[1])


def shrink(x: Float[Tensor, "b c h w"], factor: int) -> Float[Tensor, "b c h w"]:
    """Means over squares of `factor` pixels, enlarged again without smoothing; factor 1 changes nothing."""
    check(factor >= 1, "factor", factor, "at least 1")
    check(x.shape[2] % factor == x.shape[3] % factor == 0, "factor", factor, f"a divisor of {tuple(x.shape[2:])}")
    return F.avg_pool2d(x, factor).repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def speckle(x: Float[Tensor, "b c h w"], level: float, noise: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """x + level * noise, clipped to [0, 1]; `noise` is standard normal and drawn by the caller."""
    check(level >= 0, "level", level, "at least 0")
    return (x + level * noise.to(x.dtype)).clamp(0, 1)


def posterise(x: Float[Tensor, "b c h w"], tones: int) -> Float[Tensor, "b c h w"]:
    """Every channel rounded to `tones` even steps, 0 and 1 included."""
    check(tones >= 2, "tones", tones, "at least 2")
    return (x * (tones - 1)).round() / (tones - 1)

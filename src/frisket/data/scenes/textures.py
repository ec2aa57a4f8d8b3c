"""Brightness patterns of known spectrum: sums of plane waves, from the longest up to the grid's Nyquist limit.

A pattern is an endless list of waves; a grid takes those below its limit (half a cycle a pixel on either axis) and
samples them at pixel centres, so a larger grid adds finer detail and leaves the coarse part as it is. "grainy" has
`GRAIN` waves in every octave, at whole-number frequencies (so a texture that fills a square frame unturned has a line
spectrum), with amplitude falling as 2^(-slope octave) and the variance of the endless sum equal to `RMS` squared.
A plane wave is separable in x and y, so a field is one matrix product.
Shapes: n textures, m waves, h w pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core import random
from frisket.data.scenes.scene import Texture

GRAIN = 4
RMS = 0.5
STRIPE = 1.0
CHECK = 0.7


@dataclass(frozen=True, kw_only=True)
class Waves:
    """sum over m of amplitude * sin(2 pi (fx x + fy y) + phase); all float64 (n, m); frequencies in cycles a unit."""

    fx: Tensor
    fy: Tensor
    amplitude: Tensor
    phase: Tensor


def octaves(limit: float) -> int:
    """How many octaves [1, 2), [2, 4) ... begin below `limit` cycles a unit."""
    return max(1, math.ceil(math.log2(max(limit, 1.0)) - 1e-9))


def waves_of(textures: dict[str, Tensor], limit: float) -> Waves:
    """All waves that start below `limit`, from texture columns (name -> (n,)): stripes and checks sit in the first two
    slots, grain fills all; a plain texture has amplitude zero throughout. Without grain there are two slots only."""
    kind, n = textures["kind"], len(textures["kind"])
    m = GRAIN * octaves(limit) if bool((kind == 3).any()) else 2
    u = random.uniform(random.key(0, textures["seed"], random.hash_text("texture")), 3 * m).view(n, m, 3)
    octave = torch.arange(m) // GRAIN
    # a direction spread evenly over the four waves of an octave, then jittered; lengths by the larger component
    turn = math.pi * ((torch.arange(m) % GRAIN) + u[..., 0]) / GRAIN
    ray = torch.stack([turn.cos(), turn.sin()], -1)
    ray = ray / ray.abs().amax(-1, keepdim=True)
    grain = (ray * (2.0**octave * (1 + u[..., 1])).floor()[..., None]).round()
    slope = textures["slope"].clamp(min=0.05)[:, None]
    peak = RMS * torch.sqrt(2 * (1 - 4.0**-slope) / GRAIN) * 2.0 ** (-slope * octave)
    turned = textures["angle"][:, None] + torch.tensor([0.0, math.pi / 2] + [0.0] * (m - 2), dtype=torch.float64)
    line = textures["frequency"][:, None] * torch.stack([turned.cos(), turned.sin()])
    slot = torch.arange(m)
    striped = torch.where(slot == 0, STRIPE, 0.0)
    checked = torch.where(slot < 2, CHECK, 0.0)
    grainy = (kind == 3)[:, None]
    amplitude = (kind == 1)[:, None] * striped + (kind == 2)[:, None] * checked + grainy * peak
    return Waves(
        fx=torch.where(grainy, grain[..., 0], line[0]), fy=torch.where(grainy, grain[..., 1], line[1]),
        amplitude=amplitude, phase=2 * math.pi * u[..., 2],
    )  # fmt: skip


def fields(textures: dict[str, Tensor], size: tuple[int, int], angle: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """float32 (n, h, w): textures of things turned by `angle` about (x, y), each (n,); plain ones are zero."""
    out = torch.zeros(len(x), *size)
    limit = min(size) / 2 * math.sqrt(2)  # a turn may bring a diagonal wave below the grid's limit
    for lot in (textures["kind"] == 3, (textures["kind"] == 1) | (textures["kind"] == 2)):
        rows = lot.nonzero()[:, 0]
        if len(rows):
            waves = waves_of({name: v[rows] for name, v in textures.items()}, limit)
            out[rows] = field(turn(waves, angle[rows], x[rows], y[rows]), size)
    return out


def turn(waves: Waves, angle: Tensor, x: Tensor, y: Tensor) -> Waves:
    """The waves in frame coordinates of a thing turned by `angle` about its centre (x, y), each (n,)."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    fx, fy = cos * waves.fx - sin * waves.fy, sin * waves.fx + cos * waves.fy
    phase = waves.phase - 2 * math.pi * (fx * x[:, None] + fy * y[:, None])
    return Waves(fx=fx, fy=fy, amplitude=waves.amplitude, phase=phase)


def field(waves: Waves, size: tuple[int, int]) -> Tensor:
    """float32 (n, h, w): the sum of the waves below the grid's Nyquist limit, at pixel centres."""
    (xs, ys), short = centres(size), min(size)
    below = (waves.fx.abs() < short / 2) & (waves.fy.abs() < short / 2)
    amplitude = torch.where(below, waves.amplitude, 0.0)
    a = 2 * math.pi * waves.fx[:, :, None] * xs + waves.phase[:, :, None]
    b = 2 * math.pi * waves.fy[:, :, None] * ys
    across = torch.cat([a.sin(), a.cos()], 1) * amplitude.repeat(1, 2)[:, :, None]
    down = torch.cat([b.cos(), b.sin()], 1)
    return torch.bmm(down.transpose(1, 2).float(), across.float())


def centres(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Scene coordinates of pixel centres: x (w,), y (h,)."""
    h, w = size
    short = min(size)
    x = (torch.arange(w, dtype=torch.float64) + 0.5 - w / 2) / short
    y = (torch.arange(h, dtype=torch.float64) + 0.5 - h / 2) / short
    return x, y


def spectrum(texture: Texture, limit: float) -> list[tuple[float, float, float, float]]:
    """The waves (fx, fy, amplitude, phase) of one texture below `limit` cycles a unit on either axis."""
    columns = {
        name: torch.tensor([getattr(texture, name)], dtype=torch.int64 if name in ("kind", "seed") else torch.float64)
        for name in ("kind", "seed", "frequency", "angle", "slope")
    }
    w = waves_of(columns, limit)
    rows = torch.stack([w.fx, w.fy, w.amplitude, w.phase], -1)[0].tolist()
    return [(fx, fy, a, p) for fx, fy, a, p in rows if a > 0 and max(abs(fx), abs(fy)) < limit]

"""Makers of free-form known regions: brush strokes and blobs. Both rank a smooth score, so they meet any area exactly.

Strokes follow the idea of free-form inpainting masks (random walks of a thick brush, as in 1806.03589 and 2109.07161);
the thickness is not fixed but grows until the wanted area is covered. Blobs are level sets of a smoothed noise field.
Shapes: b batch, `*g` the grid, d its number of axes, p points of all strokes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.makers import Ids, Maker, areas, check_area, lowest

CITE_GATED = "Yu et al. Free-Form Image Inpainting with Gated Convolution. 2018. arXiv:1806.03589"


@register("known/strokes", cite=CITE_GATED)
@dataclass(frozen=True, kw_only=True)
class Strokes(Maker):
    """`count` brush strokes of `turns` straight pieces on a grid of two axes; pieces are up to `reach` of the longer
    side. The brush is as thick as the area needs."""

    count: int = 2
    turns: int = 4
    reach: float = 0.4
    least: float = 0.1
    most: float = 0.4

    def __post_init__(self):
        check(self.count >= 1, "count", self.count, "at least 1")
        check(self.turns >= 1, "turns", self.turns, "at least 1")
        check(self.reach > 0, "reach", self.reach, "positive")
        check_area(self.least, self.most)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        if len(shape) != 2:
            raise FrisketError(f"known/strokes draws on a grid of two axes, not on {shape}")
        size = torch.tensor(shape, dtype=torch.float64, device=step.sample.device)
        start = step.draw(f"{key}/start", (self.count, 1, 2), "uniform") * size
        turn = step.draw(f"{key}/turn", (self.count, self.turns, 2), "uniform")
        angle, length = turn[..., 0] * 2 * math.pi, turn[..., 1] * self.reach * max(shape)
        moves = torch.stack([angle.cos() * length, angle.sin() * length], dim=-1).cumsum(2)
        corners = torch.cat([start, start + moves], dim=2)  # (b, count, turns + 1, 2)
        corners = torch.minimum(corners.clamp(min=0), size - 1)
        distance = _distance(shape, corners[:, :, :-1].flatten(1, 2), corners[:, :, 1:].flatten(1, 2))
        return lowest(distance, areas(self.least, self.most, step, key))


def _distance(shape: tuple[int, ...], a: Float[Tensor, "b p 2"], b: Float[Tensor, "b p 2"]) -> Float[Tensor, "b h w"]:
    """Distance of each element's centre to the nearest of the pieces from a to b."""
    grid = torch.cartesian_prod(*[torch.arange(n, dtype=a.dtype, device=a.device) for n in shape])  # (n, 2)
    along = b - a
    rel = grid[None, :, None] - a[:, None]  # (b, n, p, 2)
    part = (rel * along[:, None]).sum(-1) / (along**2).sum(-1).clamp(min=1e-9)[:, None]
    nearest = rel - part.clamp(0, 1)[..., None] * along[:, None]
    return nearest.norm(dim=-1).amin(-1).reshape(-1, *shape)


@register("known/blobs")
@dataclass(frozen=True, kw_only=True)
class Blobs(Maker):
    """Level sets of white noise smoothed by a gaussian of standard deviation `size` elements, on any grid."""

    size: float = 3.0
    least: float = 0.25
    most: float = 0.5

    def __post_init__(self):
        check(self.size > 0, "size", self.size, "positive")
        check_area(self.least, self.most)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        score = step.draw(f"{key}/field", shape)
        for axis, n in enumerate(shape, start=1):
            place = torch.arange(n, dtype=score.dtype, device=score.device)
            kernel = torch.exp(-((place[:, None] - place) ** 2) / (2 * self.size**2))
            kernel = kernel / (kernel**2).sum(1, keepdim=True).sqrt()  # equal variance up to the border
            score = (score.movedim(axis, -1) @ kernel.T).movedim(-1, axis)
        return lowest(score, areas(self.least, self.most, step, key))

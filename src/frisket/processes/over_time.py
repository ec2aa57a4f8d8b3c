"""Makers of known for grids whose first axis is time: frames at intervals, drawn frames, and a hole that stays in place.

They are the tasks of VDT (arXiv 2305.13311; facts from RERV/VDT mask_generator.py), where the hole is made of BEiT's
random rectangles (arXiv 2106.08254). Everything is drawn for each sample; the official code draws once a batch. A hole
that lasts to the end does so here; there the slice is then empty, and nothing is left to generate.
Shapes: b batch, t frames, `*g` the grid: (t, h, w), or (h, w) for rectangles; a attempts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.makers import Ids, Maker

CITE_BEIT = "Bao et al. BEiT: BERT Pre-Training of Image Transformers. 2021. arXiv:2106.08254"
ATTEMPTS = 40  # at rectangles; those that overlap too much or do not fit are left out


@register("known/every")
@dataclass(frozen=True, kw_only=True)
class Every(Maker):
    """The frames 0, step, 2 step ...: what lies between is to be interpolated."""

    step: int = 4

    def __post_init__(self):
        check(self.step >= 1, "step", self.step, "at least 1")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        line = torch.arange(shape[0], device=step.sample.device) % self.step == 0
        return _frames(line.expand(len(step.sample), -1), shape)


@register("known/drawn-frames")
@dataclass(frozen=True, kw_only=True)
class DrawnFrames(Maker):
    """`count` different frames, any of them."""

    count: int = 1

    def __post_init__(self):
        check(self.count >= 0, "count", self.count, "not negative")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        check(self.count <= shape[0], "count", self.count, f"at most the {shape[0]} frames")
        rank = step.draw(f"{key}/frames", (shape[0],), "uniform").argsort(1).argsort(1)
        return _frames(rank < self.count, shape)


@register("known/chance-frames")
@dataclass(frozen=True, kw_only=True)
class ChanceFrames(Maker):
    """Every frame by itself, with probability `chance`."""

    chance: float = 0.2

    def __post_init__(self):
        check(0 <= self.chance <= 1, "chance", self.chance, "a probability")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        return _frames(step.draw(f"{key}/frames", (shape[0],), "uniform") < self.chance, shape)


@register("known/rectangles", cite=CITE_BEIT)
@dataclass(frozen=True, kw_only=True)
class Rectangles(Maker):
    """Random rectangles on a grid of two axes until `most` of it is covered, or nothing more fits; never more than that.
    least: cells that a rectangle aims at, at least. stretch: largest ratio of its sides."""

    most: float = 0.5
    least: int = 4
    stretch: float = 10 / 3

    def __post_init__(self):
        check(0 <= self.most <= 1, "most", self.most, "a fraction")
        check(self.least >= 1, "least", self.least, "at least 1")
        check(self.stretch >= 1, "stretch", self.stretch, "at least 1")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        if len(shape) != 2:
            raise FrisketError(f"known/rectangles draws on a grid of two axes, not on {shape}")
        drawn = step.draw(f"{key}/rectangles", (ATTEMPTS, 4), "uniform")
        out = torch.zeros(len(drawn), *shape, dtype=torch.bool, device=drawn.device)
        for u in drawn.unbind(1):
            rest = self.most * math.prod(shape) - out.flatten(1).sum(1)
            one, fits = self._rectangle(u, rest, shape)
            fresh = (one & ~out).flatten(1).sum(1)
            out |= one & (fits & (fresh > 0) & (fresh <= rest))[:, None, None]
        return out

    def _rectangle(self, u: Tensor, rest: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """One rectangle a sample, and whether it is smaller than the grid on both sides."""
        area = self.least + u[:, 0] * (rest - self.least).clamp(min=0)
        ratio = self.stretch ** (2 * u[:, 1] - 1)
        inside = torch.ones(len(u), *shape, dtype=torch.bool, device=u.device)
        fits = torch.ones(len(u), dtype=torch.bool, device=u.device)
        for axis, side in enumerate(((area * ratio).sqrt().round(), (area / ratio).sqrt().round())):
            n, place = shape[axis], torch.arange(shape[axis], device=u.device)
            start = (u[:, 2 + axis] * (n - side + 1)).floor()
            line = (place >= start[:, None]) & (place < (start + side)[:, None])
            inside &= line.unsqueeze(2 - axis)
            fits &= (side >= 1) & (side < n)
        return inside, fits


@register("known/through")
@dataclass(frozen=True, kw_only=True)
class Through(Maker):
    """What `of` says of one frame, in every frame between a first and a last one; those before and after are known
    whole: 0 to `margin` of them at either end. An id map is read in its first frame."""

    of: Maker = field(default_factory=lambda: ~Rectangles())
    margin: int = 3

    def __post_init__(self):
        check(self.margin >= 0, "margin", self.margin, "not negative")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        check(2 * self.margin < shape[0], "margin", self.margin, f"less than half of the {shape[0]} frames")
        ends = (step.draw(f"{key}/ends", (2,), "uniform") * (self.margin + 1)).floor()
        place = torch.arange(shape[0], device=ends.device)
        outside = (place < ends[:, :1]) | (place >= shape[0] - ends[:, 1:])
        one = self.of.where(tuple(shape[1:]), step, None if ids is None else ids[:, 0], f"{key}/of")
        return _frames(outside, shape) | one.unsqueeze(1)


def _frames(line: Bool[Tensor, "b t"], shape: tuple[int, ...]) -> Bool[Tensor, "b *g"]:
    """Whole frames."""
    return line.reshape(*line.shape, *[1] * (len(shape) - 1)).repeat(1, 1, *shape[1:])

"""Makers of known: which elements of a grid are given. True always means known; `~box()` is a hole in the middle.

One family for training, sampling and tests. Makers combine with `|`, `&`, `~` into makers, and save like any part.
Those with an area take it between `least` and `most` of the grid, uniformly, and meet it to the element, except `Box`,
`Frames`, `Prefix` and `Blocks`, which round to whole rows, frames or blocks, and `Instance`, whose area is the
instance's own. Everything is drawn from the Step, each leaf of a combination under a key of its own.
Shapes: b batch, `*g` the grid without channels: (h, w), (t, h, w), (l,).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.known import Known

Ids = Int[Tensor, "b *g"]


class Maker(ABC):
    """A registered value ("known/...")."""

    @abstractmethod
    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        """True = known. shape: of the grid. ids: an id map, for makers that read one. key: names the draws."""

    def known(self, x0: Tensor, step: Step, channels: bool = True, ids: Ids | None = None) -> Known:
        """`Known` for states x0: (b, c, *g), or (b, *g) when `channels` is False."""
        where = self.where(tuple(x0.shape[2:] if channels else x0.shape[1:]), step, ids)
        return Known(values=x0, where=where.unsqueeze(1) if channels else where)

    def __or__(self, other: Maker) -> Union:
        return Union(parts=(self, other))

    def __and__(self, other: Maker) -> Both:
        return Both(parts=(self, other))

    def __invert__(self) -> Not:
        return Not(of=self)


def check_area(least: float, most: float) -> None:
    check(0 <= least <= most <= 1, "least, most", (least, most), "fractions with 0 <= least <= most <= 1")


def areas(least: float, most: float, step: Step, key: str) -> Float[Tensor, "b"]:
    """The wanted share of each sample, float64."""
    return least + (most - least) * step.draw(f"{key}/area", (), "uniform")


def lowest(score: Float[Tensor, "b *g"], share: Float[Tensor, "b"]) -> Bool[Tensor, "b *g"]:
    """True for the `share` of elements whose score is lowest: the area is met to the element, whatever the score."""
    flat = score.flatten(1)
    rank = torch.argsort(flat, dim=1, stable=True).argsort(1)
    return (rank < (share * flat.shape[1]).round()[:, None]).reshape(score.shape)


@register("known/random")
@dataclass(frozen=True, kw_only=True)
class Random(Maker):
    """Single elements anywhere."""

    least: float = 0.25
    most: float = 0.75

    def __post_init__(self):
        check_area(self.least, self.most)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        score = step.draw(f"{key}/place", shape, "uniform")
        return lowest(score, areas(self.least, self.most, step, key))


@register("known/blocks")
@dataclass(frozen=True, kw_only=True)
class Blocks(Maker):
    """Whole blocks of `size` elements a side; the area is met to the block of a grid that divides."""

    size: int = 4
    least: float = 0.25
    most: float = 0.75

    def __post_init__(self):
        check(self.size >= 1, "size", self.size, "at least 1")
        check_area(self.least, self.most)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        coarse = tuple(math.ceil(n / self.size) for n in shape)
        out = lowest(step.draw(f"{key}/place", coarse, "uniform"), areas(self.least, self.most, step, key))
        for axis, n in enumerate(shape, start=1):
            out = out.repeat_interleave(self.size, dim=axis).narrow(axis, 0, n)
        return out


@register("known/frames")
@dataclass(frozen=True, kw_only=True)
class Frames(Maker):
    """The `first` and the `last` positions along the first axis of the grid (the frames of a video)."""

    first: int = 1
    last: int = 0

    def __post_init__(self):
        check(self.first >= 0 and self.last >= 0, "first, last", (self.first, self.last), "not negative")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        place = torch.arange(shape[0], device=step.sample.device)
        line = (place < self.first) | (place >= shape[0] - self.last)
        return line.reshape(1, -1, *[1] * (len(shape) - 1)).repeat(len(step.sample), 1, *shape[1:])


@register("known/prefix")
@dataclass(frozen=True, kw_only=True)
class Prefix(Maker):
    """The beginning of the last axis (a prompt, the observed part of a series), its length a share of that axis."""

    least: float = 0.25
    most: float = 0.5

    def __post_init__(self):
        check_area(self.least, self.most)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        length = (areas(self.least, self.most, step, key) * shape[-1]).round()
        line = torch.arange(shape[-1], device=length.device) < length[:, None]
        return line.reshape(-1, *[1] * (len(shape) - 1), shape[-1]).repeat(1, *shape[:-1], 1)


@register("known/box")
@dataclass(frozen=True, kw_only=True)
class Box(Maker):
    """One axis-parallel box. Sides share the area, each off its fair part by up to `stretch` in ratio."""

    least: float = 0.25
    most: float = 0.5
    stretch: float = 2.0

    def __post_init__(self):
        check_area(self.least, self.most)
        check(self.stretch >= 1, "stretch", self.stretch, "at least 1")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        rest = areas(self.least, self.most, step, key)
        out = torch.ones((len(rest), *shape), dtype=torch.bool, device=rest.device)
        for axis, n in enumerate(shape):
            fair = rest ** (1 / (len(shape) - axis))
            bend = self.stretch ** (2 * step.draw(f"{key}/side/{axis}", (), "uniform") - 1)
            part = torch.maximum((fair * bend).clamp(max=1), rest) if axis < len(shape) - 1 else rest
            side = (part * n).round().clamp(min=1)
            rest = (rest * n / side).clamp(max=1)
            start = (step.draw(f"{key}/corner/{axis}", (), "uniform") * (n - side + 1)).floor()
            place = torch.arange(n, device=rest.device)
            line = (place >= start[:, None]) & (place < (start + side)[:, None])
            out &= line.reshape(-1, *[1] * axis, n, *[1] * (len(shape) - axis - 1))
        return out


@register("known/instance")
@dataclass(frozen=True, kw_only=True)
class Instance(Maker):
    """One object of the id map, drawn among those present; `background` is not an object. A sample without objects
    gets nothing."""

    background: int = 0

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        if ids is None:
            raise FrisketError("known/instance needs an id map: where(shape, step, ids)")
        if tuple(ids.shape) != (len(step.sample), *shape):
            raise FrisketError(f"ids of shape {tuple(ids.shape)} do not fit {(len(step.sample), *shape)}")
        draw = step.draw(f"{key}/object", (), "uniform")
        rows = []
        for row, u in zip(ids, draw, strict=True):
            present = row.unique()
            present = present[present != self.background]
            if len(present) == 0:
                rows.append(torch.zeros_like(row, dtype=torch.bool))
                continue
            rows.append(row == present[(u * len(present)).long()])
        return torch.stack(rows)


@register("known/union")
@dataclass(frozen=True, kw_only=True)
class Union(Maker):
    """Known where any part says so."""

    parts: tuple[Maker, ...] = ()

    def __post_init__(self):
        check(len(self.parts) > 0, "parts", self.parts, "at least one maker")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        each = [part.where(shape, step, ids, f"{key}/{i}") for i, part in enumerate(self.parts)]
        return torch.stack(each).any(0)


@register("known/both")
@dataclass(frozen=True, kw_only=True)
class Both(Maker):
    """Known where all parts say so."""

    parts: tuple[Maker, ...] = ()

    def __post_init__(self):
        check(len(self.parts) > 0, "parts", self.parts, "at least one maker")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        each = [part.where(shape, step, ids, f"{key}/{i}") for i, part in enumerate(self.parts)]
        return torch.stack(each).all(0)


@register("known/not")
@dataclass(frozen=True, kw_only=True)
class Not(Maker):
    """Known where the other is not."""

    of: Maker = field(default_factory=Box)

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        return ~self.of.where(shape, step, ids, key)


@register("known/one-of")
@dataclass(frozen=True, kw_only=True)
class OneOf(Maker):
    """Each sample is given what one of the parts says, drawn by `weights` (equal ones where there are none): one model
    for several tasks that differ in what is known."""

    parts: tuple[Maker, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self):
        check(len(self.parts) > 0, "parts", self.parts, "at least one maker")
        fits = not self.weights or (len(self.weights) == len(self.parts) and min(self.weights) >= 0)
        check(fits and (not self.weights or sum(self.weights) > 0), "weights", self.weights, "one a part, not negative")

    def where(
        self, shape: tuple[int, ...], step: Step, ids: Ids | None = None, key: str = "known"
    ) -> Bool[Tensor, "b *g"]:
        each = torch.stack([part.where(shape, step, ids, f"{key}/{i}") for i, part in enumerate(self.parts)])
        chosen = self.chosen(step, key).to(each.device)
        return each[chosen, torch.arange(len(chosen), device=each.device)]

    def chosen(self, step: Step, key: str = "known") -> Int[Tensor, "b"]:
        """The number of each sample's part."""
        weights = torch.tensor(self.weights or (1.0,) * len(self.parts), dtype=torch.float64, device=step.sample.device)
        upper = weights.cumsum(0) / weights.sum()
        return torch.searchsorted(upper, step.draw(f"{key}/which", (), "uniform"), right=True).clamp(
            max=len(weights) - 1
        )

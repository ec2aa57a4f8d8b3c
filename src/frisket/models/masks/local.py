"""Masks by distance: who stands near whom.

Coordinates count tokens. `LocalDisc` is CLEAR's (arXiv 2412.16112) neighbourhood; `Partition` is Swin's
(arXiv 2103.14030).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.masks.base import Combines, Empty, View


@register("mask/window")
@dataclass(frozen=True, kw_only=True)
class Window(Combines):
    """Keys within `radius` on every axis (one number, or one an axis): a sliding window, a box around the query."""

    empty: Empty = "zeros"
    radius: float | tuple[float, ...] = 1.0

    def allowed(self, q: View, k: View) -> Tensor:
        out = None
        for axis, radius in enumerate(_each(self.radius, k.axes, "radius")):
            near = (q.coord(axis) - k.coord(axis)).abs() <= radius
            out = near if out is None else out & near
        return out  # type: ignore[return-value]


@register("mask/partition")
@dataclass(frozen=True, kw_only=True)
class Partition(Combines):
    """Keys in the query's own box when the grid is cut into boxes of `size`, the cuts moved by `shift`."""

    empty: Empty = "zeros"
    size: float | tuple[float, ...] = 4.0
    shift: float | tuple[float, ...] = 0.0

    def allowed(self, q: View, k: View) -> Tensor:
        out = None
        shifts = _each(self.shift, k.axes, "shift")
        for axis, (size, shift) in enumerate(zip(_each(self.size, k.axes, "size"), shifts, strict=True)):
            box = torch.floor((q.coord(axis) + shift) / size) == torch.floor((k.coord(axis) + shift) / size)
            out = box if out is None else out & box
        return out  # type: ignore[return-value]


@register("mask/local_disc")
@dataclass(frozen=True, kw_only=True)
class LocalDisc(Combines):
    """Keys within Euclidean distance `radius`."""

    empty: Empty = "zeros"
    radius: float = 4.0

    def allowed(self, q: View, k: View) -> Tensor:
        check(k.axes > 0, "mask/local_disc", "tokens without coords", "used on tokens with coords")
        total = sum((q.coord(axis) - k.coord(axis)) ** 2 for axis in range(k.axes))
        return total <= self.radius**2  # type: ignore[operator,return-value]


def _each(value: float | tuple[float, ...], axes: int, name: str) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,) * axes
    check(axes > 0 and len(values) == axes, name, value, f"one number, or one for each of {axes} axes (at least one)")
    return values

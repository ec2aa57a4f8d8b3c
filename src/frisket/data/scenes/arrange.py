"""How drawn scenes are laid out before they are rendered: as drawn, side by side, or as two far halves that must agree.

Far halves: the nearest object stands at the left border of the frame and its twin (same class, digit, colour, texture,
size, angle) at the right border at the same height. Either side alone is ordinary; only what carries information across
the empty middle can make both agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.scenes.table import Table, half_of


@runtime_checkable
class Arrange(Protocol):
    """A registered config ("arrange/...") that changes drawn scenes."""

    def __call__(self, table: Table) -> Table: ...

    def most(self, objects: int) -> int:
        """Objects of a row at most, when `objects` were drawn at most."""
        ...


@register("arrange/free")
@dataclass(frozen=True, kw_only=True)
class Free:
    """As drawn."""

    def __call__(self, table: Table) -> Table:
        return table

    def most(self, objects: int) -> int:
        return objects


@register("arrange/far_halves")
@dataclass(frozen=True, kw_only=True)
class FarHalves:
    """Twins at the left and the right border. gap: width of the empty middle, as a share of the frame's width."""

    gap: float = 0.4

    def __post_init__(self):
        check(0 <= self.gap < 1, "arrange.gap", self.gap, "in [0, 1)")

    def __call__(self, table: Table) -> Table:
        half_x, half_y = half_of(table.aspect)
        twin = {name: v[:, :1].expand(-1, 2).clone() for name, v in table.objects.items()}
        turned = twin["angle"].cos().abs() + twin["angle"].sin().abs()  # half-side of the turned box, in sizes
        size = torch.minimum(twin["size"], half_x * (1 - self.gap) / 2 / turned)
        limit = (half_y - size * turned).clamp(min=0)
        y = torch.maximum(torch.minimum(twin["y"], limit), -limit)
        x = (half_x - size * turned) * torch.tensor([-1.0, 1.0], dtype=torch.float64)
        depth = twin["depth"] + torch.tensor([0.0, 1e-3], dtype=torch.float64)
        still = torch.zeros_like(x)
        objects = twin | {"size": size, "x": x, "y": y, "depth": depth, "vx": still, "vy": still}
        return replace(table, objects=objects, present=table.present[:, :1].expand(-1, 2).clone())

    def most(self, objects: int) -> int:
        return 2


@register("arrange/sides")
@dataclass(frozen=True, kw_only=True)
class Sides:
    """Objects side by side, each in the middle of an equal part of the width, the nearest at the left: a caption names
    them from left to right. Heights stay as drawn, as far as whole objects allow."""

    def __call__(self, table: Table) -> Table:
        half_x, half_y = half_of(table.aspect)
        o, count = table.objects, table.present.sum(1, keepdim=True)
        part = 2 * half_x / count.clamp(min=1)
        x = -half_x + part * (torch.arange(table.present.shape[1]) + 0.5)
        turned = o["angle"].cos().abs() + o["angle"].sin().abs()
        size = torch.minimum(o["size"], torch.minimum(part / 2, torch.full_like(part, half_y)) / turned)
        limit = (half_y - size * turned).clamp(min=0)
        y = torch.maximum(torch.minimum(o["y"], limit), -limit)
        still = torch.zeros_like(y)
        return replace(table, objects=o | {"size": size, "x": x, "y": y, "vx": still, "vy": still})

    def most(self, objects: int) -> int:
        return objects


def right_half(size: tuple[int, int], gap: float = 0.4) -> Bool[Tensor, "1 h w"]:
    """True in the right half beyond the middle: the part to be filled when the left half is given."""
    h, w = size
    x = (torch.arange(w) + 0.5) / w
    return (x > 0.5 + gap / 2).expand(1, h, w)

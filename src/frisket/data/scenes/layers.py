"""What all views of a scene share at one size: each object's coverage, and its visible share after nearer ones.

Nearer objects cover further ones with the usual product rule: visible = own coverage * product of (1 - coverage) of the
nearer ones; exact where at most one border crosses a pixel.
Shapes: b scenes, k objects, h w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.data.scenes.coverage import coverage
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.table import Table

LARGEST = 8192


@dataclass(frozen=True, kw_only=True)
class Layers:
    """table: the scenes as they stand in this frame. cover (b, k, h, w): of each object alone. visible (b, k, h, w):
    what is seen of it. ground (b, h, w): what is seen of the ground; the visible shares and it sum to one."""

    table: Table
    size: tuple[int, int]
    cover: Tensor
    visible: Tensor
    ground: Tensor


def layers(table: Table, size: tuple[int, int]) -> Layers:
    """Cover and visibility of every object. Raises `FrisketError` on a size outside 1..8192."""
    check(all(1 <= s <= LARGEST for s in size), "size", size, f"(height, width), each in 1..{LARGEST}")
    b, k = table.present.shape
    cover = torch.zeros(b * k, *size)
    on = table.present.flatten().nonzero()[:, 0]
    if len(on):
        cover[on] = coverage(*place(table, on, size), len(on), size)
    cover = cover.view(b, k, *size)
    open_ = torch.cat([cover.new_ones(b, 1, *size), (1 - cover).cumprod(1)], 1)
    return Layers(table=table, size=size, cover=cover, visible=cover * open_[:, :k], ground=open_[:, k])


def place(table: Table, on: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Edges (e, 4) in pixels of the objects `on` (flat positions), and the position in `on` that each belongs to."""
    o = {name: table.objects[name].flatten()[on] for name in ("label", "instance", "x", "y", "size", "angle")}
    edges, owner = outlines().gather(outlines().index(o["label"], o["instance"]))
    short = min(size)
    cos, sin = short * o["size"] * o["angle"].cos(), short * o["size"] * o["angle"].sin()
    x, y = short * o["x"] + size[1] / 2, short * o["y"] + size[0] / 2
    cos, sin, x, y = (v.float()[owner, None] for v in (cos, sin, x, y))
    u, v = edges[:, 0::2], edges[:, 1::2]
    return torch.stack([x + cos * u - sin * v, y + sin * u + cos * v], -1).flatten(1), owner

"""Scenes as solids: every object is its outline, extruded backwards from its depth by its size.

Shapes: b scenes, k objects, d h w voxels (d along depth), n points.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.data.scenes.layers import Layers
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.table import Table

TRIES = 6  # candidates per wanted point; the thinnest outlines fill about a fifth of their box
PLASTIC = 1.324717957244746  # the two-dimensional golden ratio: powers of its inverse spread points evenly


def voxels(lay: Layers, slices: int | None = None) -> Float[Tensor, "b d h w"]:
    """Occupied share of every voxel in [0, 1]. Depth 0..1 is cut in `slices` (as many as the shorter side)."""
    d = slices or min(lay.size)
    low = torch.arange(d, dtype=torch.float64) / d
    near = lay.table.objects["depth"][..., None]
    far = (near + lay.table.objects["size"][..., None]).clamp(max=1.0)
    share = ((torch.minimum(far, low + 1 / d) - torch.maximum(near, low)) * d).clamp(0, 1).float()  # (b, k, d)
    empty = torch.ones(len(lay.table), d, *lay.size)
    for j in range(lay.cover.shape[1]):
        empty *= 1 - share[:, j, :, None, None] * lay.cover[:, j, None]
    return 1 - empty


def points(table: Table, n: int = 256) -> Float[Tensor, "b n 4"]:
    """Points x, y, depth, object (0, 1, ...) spread evenly through the objects' solids, by area.

    Nearest object first. A scene has as many points of an object as its share of the area, rounded; the last takes
    the rest.
    """
    rows = []
    for i in range(len(table)):
        on = table.present[i].nonzero()[:, 0]
        if not len(on):
            rows.append(torch.zeros(n, 4))
            continue
        o = {name: v[i, on] for name, v in table.objects.items()}
        clouds = [_inside(outline, n) for outline in outlines().index(o["label"], o["instance"]).tolist()]
        area = torch.tensor([fill for _, fill in clouds]) * o["size"] ** 2
        stops = (area.cumsum(0) / area.sum() * n).round().long().tolist()
        parts = []
        for j, (start, stop) in enumerate(zip([0, *stops], stops, strict=False)):
            u, v, w = clouds[j][0][: stop - start].unbind(1)
            cos, sin = o["size"][j] * o["angle"][j].cos(), o["size"][j] * o["angle"][j].sin()
            z = o["depth"][j] + w * torch.minimum(o["size"][j], 1 - o["depth"][j])
            part = [o["x"][j] + cos * u - sin * v, o["y"][j] + sin * u + cos * v, z, torch.full_like(u, float(j))]
            parts.append(torch.stack(part, 1))
        rows.append(torch.cat(parts).float())
    return torch.stack(rows)


def _inside(outline: int, n: int) -> tuple[Tensor, float]:
    """n local points (u, v, share of the thickness) inside an outline, and the share of its box that it fills."""
    edges, _ = outlines().gather(torch.tensor([outline]))
    ratio = torch.tensor([PLASTIC**-1, PLASTIC**-2, PLASTIC**-3], dtype=torch.float64)
    tries = TRIES * n
    while True:
        p = (0.5 + torch.arange(tries, dtype=torch.float64)[:, None] * ratio) % 1
        uv = 2 * p[:, :2] - 1
        held = winding(uv, edges.double())
        if int(held.sum()) >= n:
            return torch.cat([uv, p[:, 2:]], 1)[held][:n], float(held.double().mean())
        tries *= 2


def winding(points_: Float[Tensor, "m 2"], edges: Float[Tensor, "e 4"]) -> Tensor:
    """bool (m,): True where an odd number of edges lies to the left of the point."""
    x, y = points_[:, :1], points_[:, 1:]
    x0, y0, x1, y1 = edges.unbind(1)
    crosses = (y0 > y) != (y1 > y)
    at = x0 + (y - y0) * (x1 - x0) / torch.where(y1 == y0, 1.0, y1 - y0)
    return (crosses & (at < x)).sum(1) % 2 == 1

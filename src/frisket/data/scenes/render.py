"""`render(scene, (h, w), view, frame)`: any view of a scene, at any size, in any frame.

Frame f shows the scene after f frames of its own velocities. All views of a set of scenes come from one computation of
coverage, so `render_table` is the fast way to several of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from frisket.core.errors import unknown
from frisket.data.scenes.layers import layers
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.solid import points, voxels
from frisket.data.scenes.table import Table, table_of
from frisket.data.scenes.views import VIEWS, flow, view

CHUNK = 1 << 19  # pixels of all objects that are rendered together, so that intermediate arrays stay in cache
NAMES = (*VIEWS, "flow", "voxels", "points")


def render_table(
    table: Table, size: tuple[int, int], views: Sequence[str] = ("rgb",), frame: int = 0
) -> dict[str, Tensor]:
    """The named views of all rows, batch first: see `views.py` and `solid.py` for their shapes.

    Raises `FrisketError` on an unknown view or a bad size.
    """
    for name in views:
        if name not in NAMES:
            raise unknown("view", name, NAMES)
    step = max(1, CHUNK // (table.present.shape[1] * size[0] * size[1]))
    parts = [_render(table.rows(slice(i, i + step)), size, views, frame) for i in range(0, len(table), step)]
    return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in views}


def _render(table: Table, size: tuple[int, int], views: Sequence[str], frame: int) -> dict[str, Tensor]:
    now = layers(table.at(frame), size)
    out: dict[str, Tensor] = {}
    for name in views:
        if name == "flow":
            out[name] = flow(now, layers(table.at(frame + 1), size))
        elif name == "voxels":
            out[name] = voxels(now)
        elif name == "points":
            out[name] = points(now.table)
        else:
            out[name] = view(name)(now)
    return out


def render(scene: Scene, size: tuple[int, int], view: str = "rgb", frame: int = 0) -> Tensor:
    """One view of one scene, without the batch axis: rgb (3, h, w) in [0, 1], semantic (h, w) ..."""
    return render_table(table_of([scene]), size, (view,), frame)[view][0]

"""Many scenes as one table of tensors, the form in which they are drawn and rendered; rows convert to `Scene` and back.

Shapes: b scenes, k objects at most (absent ones are False in `present`, and come last).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.data.base import Split
from frisket.data.scenes.scene import Ground, Light, Object, Scene, Texture

TEXTURE = {"kind": int, "frequency": float, "angle": float, "contrast": float, "slope": float, "seed": int}
OBJECT = {
    "label": int, "instance": int, "colour": int, "x": float, "y": float, "size": float, "angle": float,
    "depth": float, "vx": float, "vy": float,
} | {f"texture.{name}": kind for name, kind in TEXTURE.items()}  # fmt: skip
GROUND = {"colour": int} | {f"texture.{name}": kind for name, kind in TEXTURE.items()}
LIGHT = {"azimuth": float, "elevation": float, "level": float, "falloff": float}
DTYPE = {int: torch.int64, float: torch.float64}
EMPTY = Object(label=0, size=0.1)


@dataclass(frozen=True, kw_only=True)
class Table:
    """present (b, k) bool; objects: name -> (b, k); ground, light: name -> (b,); aspect shared by all rows."""

    present: Tensor
    objects: dict[str, Tensor]
    ground: dict[str, Tensor]
    light: dict[str, Tensor]
    aspect: float = 1.0
    seed: int = 0
    index: Tensor
    split: Split = "train"

    def __len__(self) -> int:
        return len(self.present)

    def rows(self, where: slice) -> Table:
        """Some of the rows."""
        objects, ground, light = (
            {name: v[where] for name, v in columns.items()} for columns in (self.objects, self.ground, self.light)
        )
        return replace(
            self, present=self.present[where], objects=objects, ground=ground, light=light, index=self.index[where]
        )

    def at(self, frame: int) -> Table:
        """The table `frame` frames later: every centre moves by its velocity and turns back at the frame's border."""
        if frame == 0:
            return self
        o, (half_x, half_y) = self.objects, half_of(self.aspect)
        x = bounce(o["x"], o["vx"] * frame, half_x - o["size"] / 2)
        y = bounce(o["y"], o["vy"] * frame, half_y - o["size"] / 2)
        return replace(self, objects=o | {"x": x, "y": y})


def half_of(aspect: float) -> tuple[float, float]:
    """Half of a frame's width and height in units, from its width over its height."""
    return max(1.0, aspect) / 2, max(1.0, 1 / aspect) / 2


def bounce(start: Tensor, moved: Tensor, limit: Tensor) -> Tensor:
    """`start + moved` reflected at +-limit (or at +-|start| if it starts outside), in closed form."""
    e = torch.maximum(limit, start.abs()).clamp(min=1e-6)
    turn = (start + e + moved) % (4 * e)
    folded = torch.where(turn > 2 * e, 4 * e - turn, turn) - e
    return torch.where(moved == 0, start, folded)


def table_of(scenes: Sequence[Scene]) -> Table:
    """One table of scenes that share an aspect. Raises `FrisketError` if there are none or their aspects differ."""
    check(len(scenes) > 0, "scenes", len(scenes), "at least one")
    aspects = sorted({s.aspect for s in scenes})
    check(len(aspects) == 1, "scenes' aspects", aspects, "all equal: render other aspects apart")
    most = max(1, max(len(s.objects) for s in scenes))
    rows = [[_flat_object(o) for o in [*s.objects, *[EMPTY] * (most - len(s.objects))]] for s in scenes]
    grounds = [{"colour": s.ground.colour} | _flat_texture(s.ground.texture) for s in scenes]
    lights = [{name: getattr(s.light, name) for name in LIGHT} for s in scenes]
    return Table(
        present=torch.tensor([[j < len(s.objects) for j in range(most)] for s in scenes]),
        objects={n: torch.tensor([[o[n] for o in row] for row in rows], dtype=DTYPE[k]) for n, k in OBJECT.items()},
        ground={n: torch.tensor([g[n] for g in grounds], dtype=DTYPE[k]) for n, k in GROUND.items()},
        light={n: torch.tensor([v[n] for v in lights], dtype=DTYPE[k]) for n, k in LIGHT.items()},
        aspect=aspects[0],
        seed=scenes[0].seed,
        index=torch.tensor([s.index for s in scenes]),
        split=scenes[0].split,
    )


def scenes_of(table: Table) -> list[Scene]:
    """The rows as records; `table_of` gives the same table back."""
    present = table.present.tolist()
    objects, ground, light = ({n: v.tolist() for n, v in d.items()} for d in (table.objects, table.ground, table.light))
    return [
        Scene(
            objects=tuple(_object({n: v[i][j] for n, v in objects.items()}) for j, on in enumerate(row) if on),
            ground=Ground(colour=ground["colour"][i], texture=_texture({n: v[i] for n, v in ground.items()})),
            light=Light(**{n: v[i] for n, v in light.items()}),
            aspect=table.aspect, seed=table.seed, index=number, split=table.split,
        )
        for i, (row, number) in enumerate(zip(present, table.index.tolist(), strict=True))
    ]  # fmt: skip


def _flat_texture(texture: Texture) -> dict[str, Any]:
    return {f"texture.{name}": getattr(texture, name) for name in TEXTURE}


def _flat_object(o: Object) -> dict[str, Any]:
    (x, y), (vx, vy) = o.centre, o.velocity
    own = {name: getattr(o, name) for name in ("label", "instance", "colour", "size", "angle", "depth")}
    return own | {"x": x, "y": y, "vx": vx, "vy": vy} | _flat_texture(o.texture)


def _texture(flat: dict[str, Any]) -> Texture:
    return Texture(**{name: flat[f"texture.{name}"] for name in TEXTURE})


def _object(flat: dict[str, Any]) -> Object:
    own = {name: flat[name] for name in ("label", "instance", "colour", "size", "angle", "depth")}
    return Object(**own, centre=(flat["x"], flat["y"]), velocity=(flat["vx"], flat["vy"]), texture=_texture(flat))

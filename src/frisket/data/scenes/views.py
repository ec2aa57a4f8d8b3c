"""Views of a scene, each a pure function of its layers: rgb, semantic, instances, depth, normals, alpha, edges ...

Objects bulge a little towards the eye: with r the distance from the centre over the size, their surface stands
`BULGE / 2 * size * (1 - r^2)` before their depth, so depth, normals and shading agree in closed form.
Shapes: b scenes, k objects, h w pixels. Values for a pixel that several things share: rgb, depth and alpha are averages
by visible share; semantic, instances, palette, normals, flow and mask are those of the largest share.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from frisket.core.errors import unknown
from frisket.data.scenes.layers import Layers
from frisket.data.scenes.textures import centres, fields
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB, GROUNDS

BULGE = 0.6
AMBIENT = 0.45


def rgb(lay: Layers) -> Tensor:
    """float32 (b, 3, h, w) in [0, 1]: colour * texture * light."""
    o, g, k = lay.table.objects, lay.table.ground, lay.cover.shape[1]
    seen = lay.visible * shade(lay) * (1 + pattern(lay))
    level = lay.table.light["level"].float()[:, None]
    x = (torch.tensor(GROUND_RGB)[g["colour"]] * level)[..., None, None] * (lay.ground * ground_shade(lay))[:, None]
    for j in range(k):  # one by one: a matrix product may add in another order for another number of objects
        x += (torch.tensor(COLOUR_RGB)[o["colour"][:, j]] * level)[..., None, None] * seen[:, j, None]
    return x.clamp(0, 1)


def pattern(lay: Layers) -> Tensor:
    """float32 (b, k, h, w): contrast * texture of every object, over the whole frame."""
    rows = lay.table.present.flatten().nonzero()[:, 0]
    o = {name: v.flatten()[rows] for name, v in lay.table.objects.items()}
    out = torch.zeros(lay.table.present.numel(), *lay.size)
    out[rows] = fields(_texture(o), lay.size, o["angle"], o["x"], o["y"])
    return out.view(lay.cover.shape) * lay.table.objects["texture.contrast"].float()[..., None, None]


def ground_shade(lay: Layers) -> Tensor:
    """float32 (b, h, w): (1 + contrast * texture) * the ground's falloff away from the light."""
    g, light, (xs, ys) = lay.table.ground, lay.table.light, centres(lay.size)
    still = torch.zeros(len(lay.table), dtype=torch.float64)
    out = 1 + fields(_texture(g), lay.size, still, still, still) * g["texture.contrast"].float()[:, None, None]
    ax, ay = light["falloff"] * light["azimuth"].cos(), light["falloff"] * light["azimuth"].sin()
    return out * (1 + (ax[:, None] * xs).float()[:, None, :] + (ay[:, None] * ys).float()[:, :, None])


def _texture(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("texture."): v for name, v in columns.items() if name.startswith("texture.")}


def reach(lay: Layers) -> tuple[Tensor, Tensor]:
    """(x - centre) / size as (b, k, 1, w) and (y - centre) / size as (b, k, h, 1), float32."""
    o, (xs, ys) = lay.table.objects, centres(lay.size)
    x = (xs - o["x"][..., None]) / o["size"][..., None]
    y = (ys - o["y"][..., None]) / o["size"][..., None]
    return x.float()[:, :, None, :], y.float()[:, :, :, None]


def shade(lay: Layers) -> Tensor:
    """float32 (b, k, h, w): ambient + Lambert light on the bulge; 1 where the surface faces the eye."""
    x, y = reach(lay)
    light = {name: v.float()[:, None, None, None] for name, v in lay.table.light.items()}
    flat = light["elevation"].cos() / light["elevation"].sin()
    lean = BULGE * flat * (light["azimuth"].cos() * x + light["azimuth"].sin() * y)
    facing = (1 + lean).clamp(min=0) * torch.rsqrt(1 + BULGE**2 * (x * x + y * y))
    return AMBIENT + (1 - AMBIENT) * facing


def alpha(lay: Layers) -> Tensor:
    """float32 (b, 1, h, w): the share of the pixel that objects cover."""
    return 1 - lay.ground[:, None]


def mask(lay: Layers) -> Tensor:
    """bool (b, 1, h, w): True where objects cover more of the pixel than the ground."""
    return alpha(lay) > 0.5


def instances(lay: Layers) -> Tensor:
    """int64 (b, h, w): 0 the ground, i + 1 the scene's i-th object."""
    return torch.cat([lay.ground[:, None], lay.visible], 1).argmax(1)


def semantic(lay: Layers) -> Tensor:
    """int64 (b, h, w): 0 the ground, label + 1 an object."""
    return _pick(lay, lay.table.objects["label"] + 1, torch.zeros(len(lay.table), dtype=torch.int64))


def palette(lay: Layers) -> Tensor:
    """int64 (b, h, w): the ground's colour id, or `len(GROUNDS)` + an object's: see `palette.py`."""
    return _pick(lay, lay.table.objects["colour"] + len(GROUNDS), lay.table.ground["colour"])


def edges(lay: Layers) -> Tensor:
    """bool (b, 1, h, w): True where the pixel right of it or below it belongs to another thing."""
    i = instances(lay)
    out = torch.zeros_like(i, dtype=torch.bool)
    out[:, :, :-1] |= i[:, :, :-1] != i[:, :, 1:]
    out[:, :-1] |= i[:, :-1] != i[:, 1:]
    return out[:, None]


def depth(lay: Layers) -> Tensor:
    """float32 (b, 1, h, w): 0 at the eye, 1 at the ground."""
    x, y = reach(lay)
    o = lay.table.objects
    bulge = (BULGE / 2 * o["size"]).float()[..., None, None] * (1 - x * x - y * y)
    return (lay.ground + (lay.visible * (o["depth"].float()[..., None, None] - bulge)).sum(1))[:, None]


def normals(lay: Layers) -> Tensor:
    """float32 (b, 3, h, w): unit normals of the surface seen; x right, y down, z towards the eye."""
    x, y = reach(lay)
    i, shape = instances(lay), lay.cover.shape
    lean = torch.stack([BULGE * x.expand(shape), BULGE * y.expand(shape)], 2)
    lean = torch.cat([lean.new_zeros(shape[0], 1, 2, *lay.size), lean], 1)
    lean = lean.gather(1, i[:, None, None].expand(-1, 1, 2, -1, -1))[:, 0]
    out = torch.cat([lean, lean.new_ones(shape[0], 1, *lay.size)], 1)
    return out / out.norm(dim=1, keepdim=True)


def flow(lay: Layers, later: Layers) -> Tensor:
    """float32 (b, 2, h, w): how many pixels right and down what is seen here moves until `later`."""
    moved = [(later.table.objects[n] - lay.table.objects[n]) * min(lay.size) for n in ("x", "y")]
    still = torch.zeros(len(lay.table))
    return torch.stack([_pick(lay, m.float(), still) for m in moved], 1)


def _pick(lay: Layers, of_object: Tensor, of_ground: Tensor) -> Tensor:
    """Per pixel, the value of the thing seen most: of_object (b, k), of_ground (b,)."""
    values = torch.cat([of_ground[:, None], of_object], 1)
    return values.gather(1, instances(lay).flatten(1)).view(-1, *lay.size)


VIEWS: dict[str, Callable[[Layers], Tensor]] = {
    "rgb": rgb, "semantic": semantic, "instances": instances, "depth": depth, "normals": normals, "alpha": alpha,
    "edges": edges, "mask": mask, "palette": palette,
}  # fmt: skip


def view(name: str) -> Callable[[Layers], Tensor]:
    """The view called `name`. Raises `FrisketError` with the accepted names."""
    if name not in VIEWS:
        raise unknown("view", name, VIEWS)
    return VIEWS[name]

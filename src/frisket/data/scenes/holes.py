"""Holes to fill: boxes, brush strokes and objects, bool (b, 1, h, w), True inside the hole, of a wanted area.

Strokes and objects have exactly round(area h w) pixels: the pixels are ranked by distance and the nearest are taken.
Shapes: b rows, h w pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check
from frisket.data.scenes.layers import Layers

BENDS = 5


def boxes(seed: int, ids: Int[Tensor, "b"], size: tuple[int, int], area: float) -> Bool[Tensor, "b 1 h w"]:
    """Upright boxes anywhere in the frame, sides' ratio between 1/2 and 2; the area is met to the rounding of sides."""
    _check_area(area)
    (h, w), u = size, random.uniform(random.key(seed, ids, random.hash_text("holes/box")), 3)
    tall = (area * h * w * 2 ** (2 * u[:, 0] - 1)).sqrt().round().clamp(1, h)
    wide = (area * h * w / tall).round().clamp(1, w)
    tall = (area * h * w / wide).round().clamp(1, h)  # a box cut short on one side grows on the other
    top, left = (u[:, 1] * (h - tall + 1)).floor(), (u[:, 2] * (w - wide + 1)).floor()
    y, x = torch.arange(h)[None, :, None], torch.arange(w)[None, None, :]
    top, left, tall, wide = (v[:, None, None] for v in (top, left, tall, wide))
    return ((y >= top) & (y < top + tall) & (x >= left) & (x < left + wide))[:, None]


def strokes(seed: int, ids: Int[Tensor, "b"], size: tuple[int, int], area: float) -> Bool[Tensor, "b 1 h w"]:
    """Bent brush strokes: the pixels nearest to a random line of six points."""
    _check_area(area)
    h, w = size
    u = random.uniform(random.key(seed, ids, random.hash_text("holes/stroke")), 2 * (BENDS + 1)).view(-1, BENDS + 1, 2)
    p = (0.05 + 0.9 * u) * torch.tensor([w, h], dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    at = torch.stack([x, y], -1).view(1, -1, 1, 2).double()
    a, d = p[:, None, :-1], (p[:, 1:] - p[:, :-1])[:, None]
    share = (((at - a) * d).sum(-1) / d.square().sum(-1).clamp(min=1e-9)).clamp(0, 1)
    far = (at - a - share[..., None] * d).square().sum(-1).amin(-1)  # (b, h w)
    return _nearest(far, area).view(-1, 1, h, w)


def object_holes(lay: Layers, seed: int, ids: Int[Tensor, "b"], area: float | None = None) -> Bool[Tensor, "b 1 h w"]:
    """The seen part of one object a row, drawn at random among those seen; grown or shrunk evenly to `area` if given.

    Raises `FrisketError` if a row shows no object.
    """
    if area is not None:
        _check_area(area)
    seen = lay.visible > 0.5
    able = seen.flatten(2).any(-1)
    check(bool(able.any(1).all()), "scenes", "one without a visible object", "scenes that show an object")
    u = random.uniform(random.key(seed, ids, random.hash_text("holes/object")), 1)[:, 0]
    rank = (u * able.sum(1)).floor().long()
    which = ((able.cumsum(1) - 1 == rank[:, None]) & able).int().argmax(1)
    own = seen[torch.arange(len(u)), which]
    if area is None:
        return own[:, None]
    return _nearest(_signed(own).flatten(1), area).view(-1, 1, *lay.size)


def _check_area(area: float) -> None:
    check(0 < area <= 1, "area", area, "a share of the frame in (0, 1]")


def _nearest(far: Float[Tensor, "b m"], area: float) -> Bool[Tensor, "b m"]:
    """The round(area m) smallest of every row, at least one; ties by position."""
    order = far.argsort(dim=1, stable=True)[:, : max(1, round(area * far.shape[1]))]
    return torch.zeros_like(far, dtype=torch.bool).scatter(1, order, True)


def _signed(own: Bool[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Distance to the region in pixels, negative inside it."""
    from scipy.ndimage import distance_transform_edt

    far = [distance_transform_edt(~m) - distance_transform_edt(m) for m in own.numpy()]  # type: ignore[operator]
    return torch.from_numpy(np.stack(far))

"""Figures as images: a person in a garment, the garment laid flat, the region that a change of garment may touch.

Painted back to front, each limb with anti-aliased edges. The region depends on the body alone, so it tells the pose and
nothing of the garment (neither its colours nor the length of its sleeves).
Shapes: b figures, k limbs, h height, w width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.data.figures.body import (
    ARMS,
    FEET,
    FOREARMS,
    HEAD,
    LEGS,
    LIMBS,
    TORSO,
    Capsules,
    distance,
    fabric,
    laid_flat,
    skeleton,
    stretched,
)  # fmt: skip
from frisket.data.figures.cloth import paint
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB

HAIR = ("black", "fair", "red", "grey")
HAIR_RGB = ((0.10, 0.08, 0.08), (0.86, 0.72, 0.38), (0.62, 0.25, 0.12), (0.62, 0.62, 0.64))
SKIN_RGB = ((0.95, 0.80, 0.69), (0.80, 0.60, 0.45), (0.55, 0.37, 0.25))
SHOE_RGB = (0.16, 0.14, 0.16)
TABLE_RGB = (0.20, 0.21, 0.23)
HIDDEN = 0.5  # the value of every channel in a hidden region
MARGIN = 0.06  # of the region around body and arms, heights
ROUND = 0.35  # how much darker cloth is at a limb's edge
SHORT = 0.75  # of the upper arm that a short sleeve covers
WORN = (*ARMS, *FOREARMS, TORSO)
PAINTED = (*LEGS, *FEET, LIMBS.index("neck"), TORSO, HEAD, *ARMS, *FOREARMS)


def axes(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """x (w,) and y (h,) of pixel centres, heights, the centre at 0."""
    h, w = size
    return (torch.arange(w) + 0.5 - w / 2) / h, (torch.arange(h) + 0.5 - h / 2) / h


def dressed(
    figure: Mapping[str, Tensor], garment: Mapping[str, Tensor], size: tuple[int, int]
) -> Float[Tensor, "b 3 h w"]:
    """Each figure in a garment, float32 in [0, 1]."""
    x, y = axes(size)
    limbs = skeleton(figure)
    apart = distance(limbs, x, y)
    skin = torch.tensor(SKIN_RGB)[figure["skin"]][:, :, None, None]
    image = _ground(figure, y, len(x))
    for limb in PAINTED:
        image = _over(image, _flesh(figure, limb, skin), apart[:, limb], size)
        if limb == HEAD:
            image = _over(image, _hair(figure), torch.maximum(apart[:, limb], _above(limbs, x, y)), size)
        if limb in WORN:
            image = _clothe(image, limbs, garment, limb, size, shade=True)
    return image.clamp(0, 1)


def flat(garment: Mapping[str, Tensor], size: tuple[int, int]) -> Float[Tensor, "b 3 h w"]:
    """Each garment on a dark table, without folds or shade, float32 in [0, 1]."""
    count, (h, w) = len(garment["pattern"]), size
    image = torch.tensor(TABLE_RGB).view(1, 3, 1, 1).expand(count, 3, h, w)
    limbs = laid_flat(count)
    for limb in (TORSO, *ARMS, *FOREARMS):
        image = _clothe(image, limbs, garment, limb, size, shade=False)
    return image.clamp(0, 1)


def region(figure: Mapping[str, Tensor], size: tuple[int, int]) -> Bool[Tensor, "b 1 h w"]:
    """Where a garment may be: body and arms with a margin, but not the head in front of them."""
    x, y = axes(size)
    apart = distance(skeleton(figure), x, y)
    near = apart[:, list(WORN)].amin(1) < MARGIN
    return (near & ~(apart[:, HEAD] < -0.5 / size[0])).unsqueeze(1)


def pose_map(figure: Mapping[str, Tensor], size: tuple[int, int]) -> Float[Tensor, "b k h w"]:
    """Coverage of every limb in [0, 1], one channel a limb, float32."""
    return _cover(distance(skeleton(figure), *axes(size)), size)


def hidden(image: Float[Tensor, "b 3 h w"], where: Bool[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The image with `where` painted in one grey: what a model is shown of a person."""
    return image.masked_fill(where, HIDDEN)


def _clothe(
    image: Tensor, limbs: Capsules, garment: Mapping[str, Tensor], limb: int, size: tuple[int, int], shade: bool
) -> Tensor:
    x, y = axes(size)
    one = limbs.rows((limb,))
    length = garment["cycles"].new_ones(len(garment["cycles"]))
    if limb in ARMS:
        length = torch.where(garment["sleeves"] == 0, SHORT, 1.0)
    piece = stretched(one, length[:, None])
    apart, places = distance(piece, x, y)[:, 0], fabric(one, x, y)
    if limb in FOREARMS:
        apart = torch.where(garment["sleeves"][:, None, None] == 0, 1.0, apart)  # a short sleeve is nowhere here
    colour = paint(garment, places)[:, 0]
    if shade:
        aside = (places[:, 0, ..., 0].abs() / one.radius[0].to(places.dtype)).clamp(max=1)
        colour = colour * (1 - ROUND * aside**2)[:, None]
    return _over(image, colour, apart, size)


def _flesh(figure: Mapping[str, Tensor], limb: int, skin: Tensor) -> Tensor:
    if limb in LEGS:
        return torch.tensor(COLOUR_RGB)[figure["trousers"]][:, :, None, None] * 0.6
    if limb in FEET:
        return skin.new_tensor(SHOE_RGB).view(1, 3, 1, 1)
    return skin


def _hair(figure: Mapping[str, Tensor]) -> Tensor:
    return torch.tensor(HAIR_RGB)[figure["hair"]][:, :, None, None]


def _above(limbs: Capsules, x: Tensor, y: Tensor) -> Float[Tensor, "b h w"]:
    """Signed distance to the half plane above the eyes, negative above."""
    middle = limbs.start[:, HEAD, 1].to(y.dtype)
    return (y[None, :, None] - middle[:, None, None] + 0.015).expand(-1, -1, len(x))


def _ground(figure: Mapping[str, Tensor], y: Tensor, width: int) -> Tensor:
    rgb = torch.tensor(GROUND_RGB)[figure["ground"]]
    light = 1 + 0.25 * y  # lighter towards the floor
    return (rgb[:, :, None] * light)[..., None].expand(-1, -1, -1, width)


def _cover(apart: Tensor, size: tuple[int, int]) -> Tensor:
    return (0.5 - apart * size[0]).clamp(0, 1)


def _over(image: Tensor, colour: Tensor, apart: Float[Tensor, "b h w"], size: tuple[int, int]) -> Tensor:
    """Paint `colour` over the image where the distance is negative."""
    cover = _cover(apart, size).unsqueeze(1)
    return image + (colour - image) * cover

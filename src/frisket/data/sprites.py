"""Layered sprites: walking people put together from sheets of bodies, clothes and hair, each wearing one of many tops.

The files are those of the Sprites set (YingzhenLi/Sprites: sheets of 13 x 21 cells of 64 pixels, RGBA, of which rows 8 to
11 are the walk seen from behind, the left, the front and the right), read in place and never copied. Layers of one cell lie
on each other, so a person in another top is an exact truth, as in `data/figures`, whose contract this follows. There are
few tops; each also comes with its colour channels in every order, and some of those are kept for the test.
Shapes: b items, h = w = size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from frisket.core import random
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.figures.render import TABLE_RGB, hidden
from frisket.data.files import digest_of
from frisket.data.scenes.source import SIZE, check_ids
from frisket.data.scenes.vocabulary import GROUND_RGB

TOP = "topwear"
UNDER, OVER = ("body", "eyes", "shoes", "bottomwear"), ("hair",)  # painted before and after the top
LAYERS = (*UNDER, TOP, *OVER)
CELL, COLUMNS, ROWS = 64, 13, 21
FIRST_ROW, WAYS, FRAMES = 8, 4, 9  # of the walk
FRONT = 2
TINTS = tuple((*order, 3) for order in permutations(range(3)))  # of colours and opacity
HELD = 5  # every fifth top, tints counted, is of the test


@register("data/sprites")
@dataclass(frozen=True, kw_only=True)
class Sprites:
    """Images of walking people. A batch holds x float32 (b, 3, h, w) in [0, 1], `id`, `label` the hair, `garment`
    (b, 3, h, w) the top that is worn, by itself; `person` (b, 3, h, w) the image with every place that any top could
    cover painted grey; `region` bool (b, 1, h, w) where. target: the folder with one folder of PNG sheets a layer.
    size: of the side, 16, 32 or 64. seed: another seed is another set."""

    target: str
    size: int = 32
    seed: int = 0

    def __post_init__(self):
        check(self.size in (16, 32, 64), "data.size", self.size, "16, 32 or 64")

    def open(self, split: Split = "train") -> SpritesSource:
        """Raises `FrisketError` if a layer's folder is missing or empty, or a sheet cannot be read or has another size."""
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return SpritesSource(self, split)


class SpritesSource:
    """One split of `Sprites`; the walk of every layer is held in memory (16 MB at 64 pixels)."""

    def __init__(self, config: Sprites, split: Split):
        root = Path(config.target)
        files = {layer: _sheets(root / layer) for layer in LAYERS}
        self.config = config
        self.split: Split = split
        self.layers = {layer: torch.stack([_walk(file, config.size) for file in own]) for layer, own in files.items()}
        most = self.layers[TOP][:, :, :, 3:].amax(0)  # (ways, frames, 1, h, w)
        self.covered = nn.functional.max_pool2d(most.flatten(0, 1), 3, 1, 1).unflatten(0, (WAYS, FRAMES)) > 0
        tops = torch.arange(len(self.layers[TOP]) * len(TINTS))
        self.tops = tops[(tops % HELD == HELD - 1) == (split == "test")]
        known = (digest_of([file for own in files.values() for file in own], root), config.size, config.seed, split)
        self.info = Info(
            kind="image", shape=(3, config.size, config.size), size=SIZE, classes=tuple(f.stem for f in files["hair"]),
            digest=hashlib.sha256(repr(known).encode()).hexdigest()[:12],
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        return self._shown(ids, self._garments(ids))

    def swap(self, ids: Tensor, garments: Tensor | None = None) -> Batch:
        """The people `ids` in the tops of other items (`garments`, item numbers (b,); each the next item's if None): `x`
        the exact truth, the rest as in `batch`."""
        return self._shown(ids, self._garments((ids + 1) % SIZE if garments is None else garments))

    def _shown(self, ids: Tensor, tops: Tensor) -> Batch:
        chosen = self._chosen(ids)
        way, frame = chosen["way"], chosen["frame"]
        under, over = ([self.layers[n][chosen[n], way, frame] for n in names] for names in (UNDER, OVER))
        x = torch.tensor(GROUND_RGB)[chosen["ground"]][..., None, None].expand(-1, 3, *self.info.shape[1:])
        for layer in (*under, self._tinted(tops, way, frame), *over):
            x = _over(x, layer)
        where = self._region(way, frame, over[0])
        table = torch.tensor(TABLE_RGB).view(1, 3, 1, 1).expand_as(x)
        front = torch.full_like(way, FRONT)
        return {
            "x": x, "id": ids, "label": chosen["hair"], "person": hidden(x, where), "region": where,
            "garment": _over(table, self._tinted(tops, front, torch.zeros_like(frame))),
        }  # fmt: skip

    def _tinted(self, tops: Tensor, way: Tensor, frame: Tensor) -> Float[Tensor, "b 4 h w"]:
        """The layer of each top, its colour channels in the tint's order."""
        layer = self.layers[TOP][tops // len(TINTS), way, frame]
        order = torch.tensor(TINTS)[tops % len(TINTS)]
        return layer.gather(1, order[..., None, None].expand_as(layer))

    def _region(self, way: Tensor, frame: Tensor, hair: Tensor) -> Bool[Tensor, "b 1 h w"]:
        """Where any top may be, a pixel wider, but not behind solid hair: it tells the pose, and nothing of the top."""
        return self.covered[way, frame] & (hair[:, 3:] < 1)

    def _chosen(self, ids: Tensor) -> dict[str, Tensor]:
        """A number for each layer but the top, the ground, the way that the person walks and the frame."""
        counts = {layer: len(self.layers[layer]) for layer in (*UNDER, *OVER)}
        counts |= {"ground": len(GROUND_RGB), "way": WAYS, "frame": FRAMES}
        u = self._uniform(ids, "person", len(counts))
        return {name: (u[:, i] * n).long() for i, (name, n) in enumerate(counts.items())}

    def _garments(self, ids: Tensor) -> Tensor:
        return self.tops[(self._uniform(ids, "top", 1)[:, 0] * len(self.tops)).long()]

    def _uniform(self, ids: Tensor, what: str, n: int) -> Tensor:
        check_ids(ids)
        return random.uniform(random.key(self.config.seed, ids, random.hash_text(f"{what}/{self.split}")), n)


def _sheets(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.png"))
    if not files:
        raise FrisketError(f"data.target: {str(folder)!r} holds no PNG sheets; one folder a layer: {', '.join(LAYERS)}")
    return files


def _walk(file: Path, size: int) -> Float[Tensor, "ways frames 4 h w"]:
    """The cells of the walk, colours times opacity and opacity, float32, reduced to `size`."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            sheet = torch.from_numpy(np.array(image.convert("RGBA"))).float() / 255
    except (OSError, SyntaxError, ValueError) as error:
        raise FrisketError(f"data.target: {str(file)!r} cannot be read: {error}") from None
    found, wanted = (sheet.shape[1], sheet.shape[0]), (COLUMNS * CELL, ROWS * CELL)
    check(found == wanted, f"data.target: size of {str(file)!r}", found, f"{wanted} pixels")
    cells = sheet.unflatten(1, (COLUMNS, CELL)).unflatten(0, (ROWS, CELL))  # (rows, 64, columns, 64, 4)
    cells = cells[FIRST_ROW : FIRST_ROW + WAYS, :, :FRAMES].permute(0, 2, 4, 1, 3)
    opaque = torch.cat([cells[:, :, :3] * cells[:, :, 3:], cells[:, :, 3:]], 2)
    return nn.functional.avg_pool2d(opaque.flatten(0, 1), CELL // size).unflatten(0, (WAYS, FRAMES))


def _over(image: Float[Tensor, "b 3 h w"], layer: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b 3 h w"]:
    """A layer of colours times opacity on an image."""
    return layer[:, :3] + image * (1 - layer[:, 3:])

"""The set as data: `figures` gives people, the garment each wears laid flat, and what hides the garment. Endless.

Every item is a function of (seed, id, split). Test garments are combinations of colours and pattern that training never
shows. `swap` gives the same people in other garments, so an unpaired change has an exact truth.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from torch import Tensor

from frisket.core import random
from frisket.core.config import to_config
from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.figures import cloth, render
from frisket.data.scenes.source import SIZE, check_ids
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB

EXTRAS = ("view", "pose")
FORMAT = 1  # raised when the same config gives other figures than before
SPREAD = {
    "lean": (-0.12, 0.12), "left arm": (0.15, 1.3), "left elbow": (-0.9, 0.9), "right arm": (0.15, 1.3),
    "right elbow": (-0.9, 0.9), "stride": (0.0, 0.16), "sway": (-0.04, 0.04),
}  # fmt: skip


@register("data/figures")
@dataclass(frozen=True, kw_only=True)
class Figures:
    """Images of dressed people. A batch holds x float32 (b, 3, h, w) in [0, 1], `id`, `label` the colour of the hair,

    `garment` (b, 3, h, w) what is worn, laid flat; `person` (b, 3, h, w) the image with body and arms painted grey;
    `region` bool (b, 1, h, w) where. size: height and width. seed: another seed is another set. bend: how far poses
    differ, 0 for one pose. extras: further entries, "view" (b, 3, h, w) the same person in the same garment and another
    pose, "pose" (b, k, h, w) the coverage of every limb.
    """

    size: tuple[int, int] = (24, 16)
    seed: int = 0
    bend: float = 1.0
    extras: tuple[str, ...] = ()

    def __post_init__(self):
        for name in self.extras:
            if name not in EXTRAS:
                raise unknown("data.extras: entry", name, EXTRAS)
        check(len(self.size) == 2 and min(self.size) >= 8, "data.size", self.size, "(height, width), each at least 8")
        check(0 <= self.bend <= 1, "data.bend", self.bend, "in [0, 1]")

    def open(self, split: Split = "train") -> FiguresSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return FiguresSource(self, split)


class FiguresSource:
    """One split of `Figures`."""

    def __init__(self, config: Figures, split: Split):
        self.config = config
        self.split: Split = split
        text = json.dumps([to_config(config), split, FORMAT], sort_keys=True)
        self.info = Info(
            kind="image", shape=(3, *config.size), size=SIZE, classes=render.HAIR,
            digest=hashlib.sha256(text.encode()).hexdigest()[:12],
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        figure, garment = self.figures(ids), self.garments(ids)
        return self._shown(ids, figure, garment) | self._extras(ids, figure, garment)

    def swap(self, ids: Tensor, garments: Tensor | None = None) -> Batch:
        """The people `ids` in the garments of other items (`garments`, item numbers (b,); each the next item's if
        None): `x` the exact truth, `garment` laid flat, `person` and `region` as in `batch`."""
        return self._shown(ids, self.figures(ids), self.garments((ids + 1) % SIZE if garments is None else garments))

    def _shown(self, ids: Tensor, figure: dict[str, Tensor], garment: dict[str, Tensor]) -> Batch:
        x, where = render.dressed(figure, garment, self.config.size), render.region(figure, self.config.size)
        return {
            "x": x, "id": ids, "label": figure["hair"], "garment": render.flat(garment, self.config.size),
            "person": render.hidden(x, where), "region": where,
        }  # fmt: skip

    def _extras(self, ids: Tensor, figure: dict[str, Tensor], garment: dict[str, Tensor]) -> Batch:
        out: Batch = {}
        if "view" in self.config.extras:
            turned = figure | self._pose(ids, "view")
            out["view"] = render.dressed(turned, garment, self.config.size)
        if "pose" in self.config.extras:
            out["pose"] = render.pose_map(figure, self.config.size)
        return out

    def figures(self, ids: Tensor) -> dict[str, Tensor]:
        """Pose angles float64 (b,) by name, and skin, hair, trousers, ground int64 (b,)."""
        u = self._uniform(ids, "figure", 4)
        counts = {
            "skin": len(render.SKIN_RGB),
            "hair": len(render.HAIR),
            "trousers": len(COLOUR_RGB),
            "ground": len(GROUND_RGB),
        }
        return self._pose(ids, "pose") | {name: (u[:, i] * n).long() for i, (name, n) in enumerate(counts.items())}

    def _pose(self, ids: Tensor, what: str) -> dict[str, Tensor]:
        u = self.config.bend * (self._uniform(ids, what, len(SPREAD)) - 0.5)
        return {name: (low + high) / 2 + u[:, i] * (high - low) for i, (name, (low, high)) in enumerate(SPREAD.items())}

    def garments(self, ids: Tensor) -> dict[str, Tensor]:
        """The garment of each item, as `cloth.draw_garments` gives it."""
        return cloth.draw_garments(self._uniform(ids, "garment", 3), self.split)

    def _uniform(self, ids: Tensor, what: str, n: int) -> Tensor:
        check_ids(ids)
        return random.uniform(random.key(self.config.seed, ids, random.hash_text(f"{what}/{self.split}")), n)

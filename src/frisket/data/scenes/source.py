"""The set as data: `scenes` gives images with labels and captions, `clips` videos with actions. Endless in training.

Every item is a function of (seed, id, split): any id in [0, 2^31) can be asked for at any time. Test scenes show other
handwritten digits than training scenes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from frisket.core.config import to_config
from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.scenes import words
from frisket.data.scenes.arrange import Arrange, Free
from frisket.data.scenes.buckets import bucket_of, pad
from frisket.data.scenes.clips import draw_actions, paths, render_paths
from frisket.data.scenes.draw import Dial, draw
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.render import NAMES, render_table
from frisket.data.scenes.table import Table
from frisket.data.scenes.vocabulary import ACTIONS, CLASSES

SIZE = 2**31
FORMAT = 1  # raised when the same config gives other scenes than before


def content(config: Any, split: str) -> str:
    """Hash of all that the content depends on: config, split, outlines, and the version of the drawing."""
    text = json.dumps([to_config(config), split, outlines().digest, FORMAT], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@register("data/scenes")
@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Images of drawn scenes. A batch holds x float32 (b, 3, h, w) in [0, 1], `id`, `caption`, and

    `label` (b,) the class of the nearest object; `labels`, `colours` (b, k) of all, nearest first, -1 where there is
    none; `caption_ids` (b, n) word ids; and each of `views` under its own name.
    size: height and width. seed: another seed is another set. dial: how difficult. facts: what captions state.
    patch: side in pixels of a token, at which view "palette" is given. arrange: free or far halves.
    aspects: sizes (h, w) drawn item by item instead of `size`; then items share a canvas of the largest sides with
    `valid` (b, 1, h, w), True on real pixels; views are padded with zeros.
    """

    size: tuple[int, int] = (32, 32)
    seed: int = 0
    dial: Dial = field(default_factory=Dial)
    views: tuple[str, ...] = ()
    facts: tuple[str, ...] = words.FACTS
    patch: int = 4
    arrange: Arrange = field(default_factory=Free)
    aspects: tuple[tuple[int, int], ...] = ()

    def __post_init__(self):
        for name in self.views:
            if name not in NAMES:
                raise unknown("data.views: view", name, NAMES)
        for name in self.facts:
            if name not in words.FACTS:
                raise unknown("data.facts: fact", name, words.FACTS)
        for size in (self.size, *self.aspects):
            check(len(size) == 2 and min(size) >= 1, "data.size", size, "(height, width), each at least 1")
            ok = "palette" not in self.views or all(s % self.patch == 0 for s in size)
            check(ok, "data.patch", self.patch, f"a divisor of the size {size} for view 'palette'")
        solid = {"voxels", "points"} & set(self.views)
        check(not (self.aspects and solid), "data.views", self.views, "without voxels and points for mixed aspects")

    def open(self, split: Split = "train") -> ScenesSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return ScenesSource(self, split)


class ScenesSource:
    """One split of `Scenes`."""

    def __init__(self, config: Scenes, split: Split):
        self.config = config
        self.split: Split = split
        sizes = config.aspects or (config.size,)
        self.canvas = max(h for h, _ in sizes), max(w for _, w in sizes)
        self.most = config.arrange.most(config.dial.objects[1])
        self.length = words.longest(self.most)
        self.info = Info(
            kind="image", shape=(3, *self.canvas), size=SIZE, classes=CLASSES, digest=content(config, split),
            extra={"dial": asdict(config.dial), "vocabulary": len(words.VOCABULARY), "caption_length": self.length},
        )  # fmt: skip

    def table(self, ids: Tensor, aspect: float | None = None) -> Table:
        """The scenes `ids`, before rendering."""
        check_ids(ids)
        config = self.config
        if aspect is None:
            aspect = config.size[1] / config.size[0]
        return config.arrange(draw(config.seed, ids, self.split, config.dial, aspect))

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        config = self.config
        if not config.aspects:
            return self._one_size(ids, config.size)
        check_ids(ids)
        which = bucket_of(config.seed, ids, len(config.aspects)).tolist()
        rows = [self._one_size(ids[i : i + 1], config.aspects[b]) for i, b in enumerate(which)]
        out: Batch = {}
        for name, first in rows[0].items():
            values = [row[name] for row in rows]
            if isinstance(first, list):
                out[name] = [v for value in values for v in value]
            elif name in ("x", *config.views):
                scale = config.patch if name == "palette" else 1
                canvas = self.canvas[0] // scale, self.canvas[1] // scale
                out[name], valid = pad([v[0] for v in values], canvas)
                if name == "x":
                    out["valid"] = valid
            else:
                out[name] = torch.cat(values)
        return out

    def _one_size(self, ids: Tensor, size: tuple[int, int]) -> Batch:
        config, table = self.config, self.table(ids, size[1] / size[0])
        fine = tuple(name for name in config.views if name not in ("rgb", "palette"))
        shown = render_table(table, size, ("rgb", *fine))
        out: Batch = {"x": shown.pop("rgb"), "id": ids, **names_of(table)}
        out["caption"] = words.captions(table, config.facts)
        out["caption_ids"] = words.caption_ids(out["caption"], self.length)
        out |= shown
        if "rgb" in config.views:
            out["rgb"] = out["x"]
        if "palette" in config.views:
            small = size[0] // config.patch, size[1] // config.patch
            out |= render_table(table, small, ("palette",))
        return out


@register("data/clips")
@dataclass(frozen=True, kw_only=True)
class Clips:
    """Videos of drawn scenes whose nearest object obeys keyboard-like actions while the others go their way.

    A batch holds x float32 (b, 3, frames, h, w) in [0, 1], `action` int64 (b, frames - 1) of `ACTIONS`, `track`
    float32 (b, frames, k, 2) the objects' centres, `id`, `label`, `labels`, `colours`, `caption`, and each of `views`.
    """

    size: tuple[int, int] = (32, 32)
    frames: int = 8
    seed: int = 0
    dial: Dial = field(default_factory=lambda: Dial(objects=(1, 2), textures=("plain", "striped")))
    views: tuple[str, ...] = ()
    stride: float = 0.05

    def __post_init__(self):
        for name in self.views:
            if name not in NAMES:
                raise unknown("data.views: view", name, NAMES)
        check(self.frames >= 2, "data.frames", self.frames, "at least 2")

    def open(self, split: Split = "train") -> ClipsSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return ClipsSource(self, split)


class ClipsSource:
    """One split of `Clips`."""

    def __init__(self, config: Clips, split: Split):
        self.config = config
        self.split: Split = split
        self.info = Info(
            kind="video", shape=(3, config.frames, *config.size), size=SIZE, classes=CLASSES,
            digest=content(config, split), extra={"dial": asdict(config.dial), "actions": list(ACTIONS)},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        check_ids(ids)
        config = self.config
        table = draw(config.seed, ids, self.split, config.dial, config.size[1] / config.size[0])
        actions = draw_actions(config.seed, ids, config.frames)
        path = paths(table, config.frames, actions, stride=config.stride)
        shown = render_paths(table, path, config.size, ("rgb", *config.views))
        out: Batch = {"x": shown["rgb"], "id": ids, "action": actions, "track": path.float(), **names_of(table)}
        out["caption"] = words.captions(table)
        return out | {name: shown[name] for name in config.views}


def names_of(table: Table) -> Batch:
    """label (b,), labels and colours (b, k), -1 where there is no object."""
    labels = torch.where(table.present, table.objects["label"], -1)
    colours = torch.where(table.present, table.objects["colour"], -1)
    return {"label": labels[:, 0], "labels": labels, "colours": colours}


def check_ids(ids: Tensor) -> None:
    """Raise `FrisketError` unless all ids are in [0, 2^31)."""
    ok = ids.ndim == 1 and len(ids) > 0 and bool(((ids >= 0) & (ids < SIZE)).all())
    check(ok, "ids", ids.tolist()[:8] if ids.ndim else ids.item(), f"a list of integers in [0, {SIZE})")

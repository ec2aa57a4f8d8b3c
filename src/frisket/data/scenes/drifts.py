"""Videos of scenes whose objects go by their velocities and turn back at the border: what comes next follows from what
was, once two frames are known.

Shapes: b videos, f frames, k objects.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.scenes.clips import paths, render_paths
from frisket.data.scenes.draw import Dial, draw
from frisket.data.scenes.render import NAMES
from frisket.data.scenes.source import SIZE, check_ids, content


@register("data/drifts")
@dataclass(frozen=True, kw_only=True)
class Drifts:
    """A batch holds x float32 (b, 3, frames, h, w) in [0, 1], `track` float32 (b, frames, k, 2) the objects' centres,
    `id`, and each of `views`. Nothing is named, so there are no classes. dial: its speed is that of an axis, in units a
    frame."""

    size: tuple[int, int] = (32, 32)
    frames: int = 8
    seed: int = 0
    dial: Dial = field(default_factory=lambda: Dial(objects=(1, 2), textures=("plain",), speed=0.08))
    views: tuple[str, ...] = ()

    def __post_init__(self):
        for name in self.views:
            if name not in NAMES:
                raise unknown("data.views: view", name, NAMES)
        check(len(self.size) == 2 and min(self.size) >= 1, "data.size", self.size, "(height, width), each at least 1")
        check(self.frames >= 2, "data.frames", self.frames, "at least 2")

    def open(self, split: Split = "train") -> DriftsSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return DriftsSource(self, split)


class DriftsSource:
    """One split of `Drifts`."""

    def __init__(self, config: Drifts, split: Split):
        self.config = config
        self.split: Split = split
        self.info = Info(
            kind="video", shape=(3, config.frames, *config.size), size=SIZE, digest=content(config, split),
            extra={"dial": asdict(config.dial)},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        check_ids(ids)
        config = self.config
        table = draw(config.seed, ids, self.split, config.dial, config.size[1] / config.size[0])
        path = paths(table, config.frames)
        shown = render_paths(table, path, config.size, ("rgb", *config.views))
        out: Batch = {"x": shown["rgb"], "id": ids, "track": path.to(torch.float32)}
        return out | {name: shown[name] for name in config.views}

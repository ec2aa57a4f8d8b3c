"""Stories as data: captioned shots one behind the other in one video, of one character or of a new one in every shot.

The shots are those of `story` and `medley`, many at a time. What a shot says of itself (size, direction, light, and the
class) stands in its caption; what its character looks like (which handwritten digit, colour, ground) does not.
Shapes: b stories, s shots, f frames of a shot, h w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.scenes.clips import paths, render_paths
from frisket.data.scenes.draw import Dial, draw
from frisket.data.scenes.source import SIZE, check_ids, content
from frisket.data.scenes.story import CAST, DIRECTIONS, LIGHTS, RADII, parse_shot
from frisket.data.scenes.table import Table
from frisket.data.scenes.vocabulary import ACTIONS, CLASSES, COLOURS, GROUNDS

SAID = {"size": tuple(RADII), "direction": DIRECTIONS, "light": tuple(LIGHTS)}
KEPT = {"colour": COLOURS, "ground": GROUNDS}


@runtime_checkable
class Cast(Protocol):
    """A registered value ("cast/...")."""

    def seeds(self, seed: int, shots: int) -> tuple[int, ...]:
        """For each shot, the seed that its character and ground are drawn from."""
        ...


@register("cast/one")
@dataclass(frozen=True, kw_only=True)
class OneCharacter:
    """The same in all shots."""

    def seeds(self, seed: int, shots: int) -> tuple[int, ...]:
        return (seed,) * shots


@register("cast/new")
@dataclass(frozen=True, kw_only=True)
class NewCharacters:
    """Another in every shot: unrelated shots, to learn shots before stories."""

    def seeds(self, seed: int, shots: int) -> tuple[int, ...]:
        return tuple(random.hash_text(f"medley/{seed}/{i}") for i in range(shots))


@register("data/stories")
@dataclass(frozen=True, kw_only=True)
class Stories:
    """A batch holds x float32 (b, 3, s f, h, w) in [0, 1], `id`, `caption` (four words a shot, see
    `tale`, so all are equally long), and int64 (b, s): `size`, `direction`, `light` the places of the words said in `SAID`,
    `label`, `colour`, `ground` what is shown. stride: of a character between frames, in shorter sides."""

    size: tuple[int, int] = (16, 16)
    shots: int = 3
    frames: int = 4
    stride: float = 0.07
    seed: int = 0
    dial: Dial = CAST
    cast: Cast = field(default_factory=OneCharacter)

    def __post_init__(self):
        check(len(self.size) == 2 and min(self.size) >= 1, "data.size", self.size, "(height, width), each at least 1")
        check(self.shots >= 1, "data.shots", self.shots, "at least 1")
        check(self.frames >= 2, "data.frames", self.frames, "at least 2")
        check(self.dial.objects == (1, 1), "data.dial.objects", self.dial.objects, "(1, 1), the character")

    def open(self, split: Split = "train") -> StoriesSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return StoriesSource(self, split)


class StoriesSource:
    """One split of `Stories`."""

    def __init__(self, config: Stories, split: Split):
        self.config = config
        self.split: Split = split
        self.info = Info(
            kind="video", shape=(3, config.shots * config.frames, *config.size), size=SIZE,
            digest=content(config, split), extra={"dial": asdict(config.dial), "shots": config.shots},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids`. Raises `FrisketError` on ids outside [0, 2^31)."""
        check_ids(ids)
        config, aspect = self.config, self.config.size[1] / self.config.size[0]
        seeds = config.cast.seeds(config.seed, config.shots)
        drawn = {seed: draw(seed, ids, self.split, config.dial, aspect) for seed in dict.fromkeys(seeds)}
        told = [self._told(ids, number) for number in range(config.shots)]
        tables = [_shot(drawn[seed], *one) for seed, one in zip(seeds, told, strict=True)]
        words = {name: torch.stack([one[0][name] for one in told], 1) for name in SAID}
        shown = {"label": "label", "colour": "colour"}
        kept = {name: torch.stack([t.objects[own][:, 0] for t in tables], 1) for name, own in shown.items()}
        kept["ground"] = torch.stack([t.ground["colour"] for t in tables], 1)
        out: Batch = {"x": self._film(tables, words["direction"]), "id": ids, **words, **kept}
        out["caption"] = [tale(row) for row in captions(out)]
        return out

    def _told(self, ids: Int[Tensor, "b"], number: int) -> tuple[dict[str, Tensor], Tensor]:
        """The places of the words said in a shot, and where its character begins."""
        key = random.key(self.config.seed, ids, random.hash_text(f"shot/{self.split}"), number)
        u = random.uniform(key, 5)
        words = {name: (u[:, i] * len(of)).long() for i, (name, of) in enumerate(SAID.items())}
        return words, (u[:, 3:] - 0.5) * 0.3

    def _film(self, tables: Sequence[Table], direction: Int[Tensor, "b s"]) -> Tensor:
        """All shots rendered in one go, (b, 3, s f, h, w)."""
        config, (b, shots) = self.config, direction.shape
        ways = torch.tensor([ACTIONS.index(way) for way in DIRECTIONS])[direction.T.flatten()]
        table = _stacked(tables)
        path = paths(table, config.frames, ways[:, None].expand(-1, config.frames - 1), stride=config.stride)
        film = render_paths(table, path, config.size)["rgb"]  # (s b, 3, f, h, w)
        return film.unflatten(0, (shots, b)).permute(1, 2, 0, 3, 4, 5).flatten(2, 3).contiguous()


def captions(batch: Batch) -> list[tuple[str, ...]]:
    """For each story, its shots' captions, in the grammar of `story.parse_shot`."""
    rows = zip(*(batch[name].tolist() for name in (*SAID, "label")), strict=True)
    return [
        tuple(
            f"{SAID['size'][s]} {CLASSES[n]} moves {SAID['direction'][d]}, {SAID['light'][v]}"
            for s, d, v, n in zip(*row, strict=True)
        )
        for row in rows
    ]


def tale(shots: Sequence[str]) -> str:
    """One caption of several shots: four words of each, size, name, direction and light."""
    said = [parse_shot(shot) for shot in shots]
    return " ".join(f"{one.size} {one.name} {one.direction} {one.light}" for one in said)


def _shot(table: Table, words: dict[str, Tensor], start: Tensor) -> Table:
    """The table as a shot shows it at first."""
    radii, lights = (torch.tensor(list(of.values()), dtype=torch.float64) for of in (RADII, LIGHTS))
    own = {"x": start[:, :1], "y": start[:, 1:], "size": radii[words["size"]][:, None]}
    still = {name: torch.zeros_like(table.objects[name]) for name in ("vx", "vy")}
    light = table.light | {"level": lights[words["light"]]}
    return replace(table, objects=table.objects | own | still, light=light)


def _stacked(tables: Sequence[Table]) -> Table:
    first = tables[0]
    objects, ground, light = (
        {name: torch.cat([getattr(t, field)[name] for t in tables]) for name in getattr(first, field)}
        for field in ("objects", "ground", "light")
    )
    present, index = torch.cat([t.present for t in tables]), torch.cat([t.index for t in tables])
    return replace(first, present=present, objects=objects, ground=ground, light=light, index=index)

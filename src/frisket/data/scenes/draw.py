"""Scenes drawn at random: a pure function of (seed, index, split, dial), so any scene is known without those before it.

The dial is the difficulty of a set: how many objects, how much they may overlap, how many colours, how many of the real
digits. It is a config, so every result records it.
Shapes: b scenes, k objects at most, c candidate places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Split
from frisket.data.scenes.outlines import instances
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.table import Table, half_of, scenes_of
from frisket.data.scenes.vocabulary import COLOURS, GROUNDS, KINDS, TEXTURES

PLACES = 10  # candidate places of an object: the first that is free is taken, else the freest
GROUND_CONTRAST = 0.4  # the ground's share of the dial's contrast, so that it stays behind
COMMON, OWN = 24, 24  # uniform numbers of a scene, and of an object before its candidate places


@register("dial/scenes")
@dataclass(frozen=True, kw_only=True)
class Dial:
    """objects: fewest and most. overlap: 0 keeps the objects' circles apart, 1 lets them lie anywhere.

    palette, grounds: how many of the named colours. glyphs: real digits of each class (None: all of the split).
    kinds: of "digit", "shape". textures: names. sizes: smallest and largest half-side. tilt: largest angle.
    speed: largest velocity on an axis. frequency: of stripes and checks. contrast: of every texture.
    """

    objects: tuple[int, int] = (1, 3)
    overlap: float = 0.3
    palette: int = 8
    grounds: int = 6
    glyphs: int | None = None
    kinds: tuple[str, ...] = KINDS
    textures: tuple[str, ...] = TEXTURES
    sizes: tuple[float, float] = (0.12, 0.24)
    tilt: float = 0.3
    speed: float = 0.03
    frequency: tuple[float, float] = (6.0, 14.0)
    contrast: float = 0.25

    def __post_init__(self):
        check(1 <= self.objects[0] <= self.objects[1] <= 16, "dial.objects", self.objects, "(fewest, most) in 1..16")
        check(0 <= self.overlap <= 1, "dial.overlap", self.overlap, "in [0, 1]")
        check(1 <= self.palette <= len(COLOURS), "dial.palette", self.palette, f"in 1..{len(COLOURS)}")
        check(1 <= self.grounds <= len(GROUNDS), "dial.grounds", self.grounds, f"in 1..{len(GROUNDS)}")
        check(self.glyphs is None or self.glyphs >= 1, "dial.glyphs", self.glyphs, "None or at least 1")
        check(bool(self.kinds) and set(self.kinds) <= set(KINDS), "dial.kinds", self.kinds, f"some of {KINDS}")
        ok = bool(self.textures) and set(self.textures) <= set(TEXTURES)
        check(ok, "dial.textures", self.textures, f"some of {TEXTURES}")
        check(0 < self.sizes[0] <= self.sizes[1] <= 0.5, "dial.sizes", self.sizes, "(smallest, largest) in (0, 0.5]")


def draw(seed: int, ids: Int[Tensor, "b"], split: Split, dial: Dial | None = None, aspect: float = 1.0) -> Table:
    """The scenes number `ids` of a split, laid out for a frame of width / height = aspect.

    Raises `FrisketError` on an unknown split.
    """
    check(split in ("train", "test"), "split", split, "'train' or 'test'")
    dial = dial or Dial()
    b, k = len(ids), dial.objects[1]
    u = random.uniform(random.key(seed, ids, random.hash_text(f"scene/{split}")), COMMON + k * (OWN + 2 * PLACES))
    common, own = u[:, :COMMON], u[:, COMMON:].view(b, k, OWN + 2 * PLACES)
    count = whole(common[:, 0], dial.objects[0], k)
    present = torch.arange(k) < count[:, None]
    size = between(own[..., 0], *dial.sizes)
    x, y = _spread(own[..., OWN:].view(b, k, PLACES, 2), size, present, dial.overlap, half_of(aspect))
    label, instance = _identity(own[..., 1:4], split, dial)
    objects = {
        "label": label, "instance": instance, "colour": whole(own[..., 4], 0, dial.palette - 1), "x": x, "y": y,
        "size": size, "angle": between(own[..., 5], -dial.tilt, dial.tilt),
        "depth": 0.2 + 0.6 * (torch.arange(k) + own[..., 6] / 2) / k,
        "vx": between(own[..., 7], -dial.speed, dial.speed), "vy": between(own[..., 8], -dial.speed, dial.speed),
    } | _texture(own[..., 9:14], dial)  # fmt: skip
    ground = {"colour": whole(common[:, 1], 0, dial.grounds - 1)} | _texture(common[:, 2:7], dial, GROUND_CONTRAST)
    light = {
        "azimuth": between(common[:, 7], -2.6, -0.6), "elevation": between(common[:, 8], 0.8, 1.3),
        "level": between(common[:, 9], 0.85, 1.0), "falloff": between(common[:, 10], 0.1, 0.4),
    }  # fmt: skip
    return Table(
        present=present, objects=objects, ground=ground, light=light, aspect=aspect, seed=seed, index=ids, split=split
    )


def draw_scene(seed: int, index: int, split: Split, dial: Dial | None = None, aspect: float = 1.0) -> Scene:
    """One scene as a record: row `index` of `draw`."""
    return scenes_of(draw(seed, torch.tensor([index]), split, dial, aspect))[0]


def whole(u: Tensor, low: int, high: int) -> Tensor:
    """Uniform integers low..high, both included, from uniform numbers."""
    return (low + (u * (high - low + 1)).floor().long()).clamp(max=high)


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers in (low, high) from uniform numbers in (0, 1)."""
    return low + u * (high - low)


def _spread(u: Tensor, size: Tensor, present: Tensor, overlap: float, half: tuple[float, float]):
    """Centres x, y (b, k): one object after the other takes its first free candidate, u (b, k, c, 2), or the freest."""
    room = torch.stack([(h - 0.8 * size).clamp(min=0) for h in half], -1)[:, :, None]  # (b, k, 1, 2)
    spots = (2 * u - 1) * room
    chosen = spots[:, :1, 0]  # (b, 1, 2)
    for j in range(1, spots.shape[1]):
        far = (spots[:, j, :, None] - chosen[:, None]).square().sum(-1).sqrt()  # (b, c, j)
        clear = far - (1 - overlap) * (size[:, j, None, None] + size[:, None, :j])
        clear = clear.amin(-1)
        best = torch.where((clear >= 0).any(1), (clear >= 0).int().argmax(1), clear.argmax(1))
        chosen = torch.cat([chosen, spots[:, j][torch.arange(len(u)), best][:, None]], 1)
    return chosen[..., 0].contiguous(), chosen[..., 1].contiguous()


def _identity(u: Tensor, split: Split, dial: Dial) -> tuple[Tensor, Tensor]:
    """Label and digit instance (b, k) from u (b, k, 3); shapes have instance 0."""
    table, counts = _glyphs(split, dial.glyphs)
    kind = torch.tensor([KINDS.index(name) for name in dial.kinds])[whole(u[..., 0], 0, len(dial.kinds) - 1)]
    digit = whole(u[..., 1], 0, 9)
    which = torch.minimum((u[..., 2] * counts[digit]).floor().long(), counts[digit] - 1)
    return digit + 10 * kind, torch.where(kind == 0, table[digit, which], 0)


@cache
def _glyphs(split: Split, most: int | None) -> tuple[Tensor, Tensor]:
    """Digit instances by class, padded (10, m), and how many there are (10,)."""
    rows = [ids[:most] for ids in instances(split)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(r) for r in rows])


def _texture(u: Tensor, dial: Dial, share: float = 1.0) -> dict[str, Tensor]:
    """Texture columns from u (..., 5)."""
    kinds = torch.tensor([TEXTURES.index(name) for name in dial.textures])
    return {
        "texture.kind": kinds[whole(u[..., 0], 0, len(kinds) - 1)],
        "texture.frequency": between(u[..., 1], *dial.frequency),
        "texture.angle": between(u[..., 2], 0.0, math.pi),
        "texture.contrast": torch.full_like(u[..., 3], share * dial.contrast),
        "texture.slope": torch.full_like(u[..., 3], 0.5),
        "texture.seed": (u[..., 4] * 2**31).long(),
    }

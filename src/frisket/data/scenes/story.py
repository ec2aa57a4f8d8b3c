"""Captioned shots of one character: the same digit instance, colour, texture and ground, told from shot to shot.

    large three moves left, dim

A caption names class, size, direction and light; the instance, which is the character's identity, is never named.
`medley` has the same form with a new character in every shot: the material for learning shots before stories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from frisket.core import random
from frisket.core.errors import check, unknown
from frisket.data.base import Split
from frisket.data.scenes.clips import Clip, clip
from frisket.data.scenes.draw import Dial, draw_scene
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.vocabulary import ACTIONS, CLASSES

LIGHTS = {"dim": 0.55, "bright": 1.0}
RADII = {"small": 0.13, "large": 0.25}
DIRECTIONS = ACTIONS[1:]
CAST = Dial(objects=(1, 1), kinds=("digit",), tilt=0.15)


@dataclass(frozen=True, kw_only=True)
class ShotWords:
    """What a shot's caption says."""

    name: str
    size: str
    direction: str
    light: str


@dataclass(frozen=True, kw_only=True)
class Shot:
    """scene: the shot's first frame."""

    scene: Scene
    said: ShotWords

    @property
    def caption(self) -> str:
        return f"{self.said.size} {self.said.name} moves {self.said.direction}, {self.said.light}"

    def clip(self, frames: int, stride: float = 0.05) -> Clip:
        """The shot in motion."""
        return clip(self.scene, frames, (self.said.direction,) * (frames - 1), stride=stride)


def story(seed: int, index: int, split: Split, shots: int = 3, dial: Dial = CAST) -> tuple[Shot, ...]:
    """`shots` shots of one character before one ground. Raises `FrisketError` for fewer than one."""
    first = draw_scene(seed, index, split, dial)
    return tuple(_shot(first, seed, index, i) for i in range(_some(shots)))


def medley(seed: int, index: int, split: Split, shots: int = 3, dial: Dial = CAST) -> tuple[Shot, ...]:
    """Shots of unrelated characters: same captions' grammar, nothing shared."""
    seeds = [random.hash_text(f"medley/{seed}/{i}") for i in range(_some(shots))]
    return tuple(_shot(draw_scene(s, index, split, dial), seed, index, i) for i, s in enumerate(seeds))


def parse_shot(caption: str) -> ShotWords:
    """What a shot's caption says. Raises `FrisketError` outside the grammar of the module's example."""
    parts = caption.replace(",", " ,").split()
    check(
        len(parts) == 6 and parts[2] == "moves" and parts[4] == ",",
        "shot caption",
        caption,
        "SIZE NAME moves WAY, LIGHT",
    )
    for word, known in zip([parts[i] for i in (0, 1, 3, 5)], (RADII, CLASSES, DIRECTIONS, LIGHTS), strict=True):
        if word not in known:
            raise unknown("word", word, known)
    return ShotWords(size=parts[0], name=parts[1], direction=parts[3], light=parts[5])


def _some(shots: int) -> int:
    check(shots >= 1, "shots", shots, "at least 1")
    return shots


def _shot(scene: Scene, seed: int, index: int, number: int) -> Shot:
    key = random.key(seed, torch.tensor([index]), random.hash_text(f"shot/{scene.split}"), number)
    u = random.uniform(key, 5)[0].tolist()
    size, way, light = (
        _choose(v, words) for v, words in zip(u, (tuple(RADII), DIRECTIONS, tuple(LIGHTS)), strict=False)
    )
    centre = ((u[3] - 0.5) * 0.3, (u[4] - 0.5) * 0.3)
    hero = replace(scene.objects[0], size=RADII[size], centre=centre, velocity=(0.0, 0.0))
    shown = replace(scene, objects=(hero,), light=replace(scene.light, level=LIGHTS[light]))
    return Shot(scene=shown, said=ShotWords(name=CLASSES[hero.label], size=size, direction=way, light=light))


def _choose(u: float, words: Sequence[str]) -> str:
    return words[int(u * len(words))]

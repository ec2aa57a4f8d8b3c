"""The record of a scene: what is where, how it looks, how it is lit. Everything else is a pure function of it.

Units: the shorter side of the frame is 1 long, the origin is its centre, x goes right, y goes down. Angles in radians,
clockwise as seen. Depth: 0 at the eye, 1 at the ground. Velocities in units a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from frisket.core.errors import check
from frisket.data.base import Split
from frisket.data.scenes.vocabulary import CLASSES, COLOURS, GROUNDS, TEXTURES


@dataclass(frozen=True, kw_only=True)
class Texture:
    """A brightness pattern of known spectrum (see `textures.py`); it is fixed to what it covers and turns with it.

    kind: of `TEXTURES`. frequency: cycles a unit, of stripes and checks. angle: of their waves. contrast: how far
    brightness swings around 1. slope: a grain's amplitude falls as 2^(-slope octave). seed: of phases and grain.
    """

    kind: int = 0
    frequency: float = 8.0
    angle: float = 0.0
    contrast: float = 0.25
    slope: float = 0.5
    seed: int = 0

    def __post_init__(self):
        check(0 <= self.kind < len(TEXTURES), "texture.kind", self.kind, f"in 0..{len(TEXTURES) - 1}")


@dataclass(frozen=True, kw_only=True)
class Object:
    """A digit or a shape. label: of `CLASSES`. instance: which of scikit-learn's digits (0..1796); 0 for shapes.

    colour: of `COLOURS`. centre, size (half of its longest side), angle, depth in (0, 1), velocity: see the module.
    """

    label: int
    instance: int = 0
    colour: int = 0
    texture: Texture = field(default_factory=Texture)
    centre: tuple[float, float] = (0.0, 0.0)
    size: float = 0.2
    angle: float = 0.0
    depth: float = 0.5
    velocity: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        check(0 <= self.label < len(CLASSES), "object.label", self.label, f"in 0..{len(CLASSES) - 1}")
        check(0 <= self.instance < 1797, "object.instance", self.instance, "in 0..1796")
        check(0 <= self.colour < len(COLOURS), "object.colour", self.colour, f"in 0..{len(COLOURS) - 1}")
        check(self.size > 0, "object.size", self.size, "positive")
        check(0 < self.depth < 1, "object.depth", self.depth, "in (0, 1)")

    @property
    def kind(self) -> str:
        """ "digit" or "shape"."""
        return "digit" if self.label < 10 else "shape"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The background: a plane at depth 1. colour: of `GROUNDS`."""

    colour: int = 0
    texture: Texture = field(default_factory=Texture)

    def __post_init__(self):
        check(0 <= self.colour < len(GROUNDS), "ground.colour", self.colour, f"in 0..{len(GROUNDS) - 1}")


@dataclass(frozen=True, kw_only=True)
class Light:
    """A far light. azimuth: where it comes from in the image plane; elevation above that plane, in (0, pi / 2].

    level: brightness of a patch that faces the eye. falloff: how much the ground darkens across the frame.
    """

    azimuth: float = -2.2
    elevation: float = 0.9
    level: float = 1.0
    falloff: float = 0.0

    def __post_init__(self):
        check(0 < self.elevation <= 1.5708, "light.elevation", self.elevation, "in (0, pi / 2]")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """objects: nearest first, at distinct depths. aspect: width over height of the frame it was laid out for."""

    objects: tuple[Object, ...] = ()
    ground: Ground = field(default_factory=Ground)
    light: Light = field(default_factory=Light)
    aspect: float = 1.0
    seed: int = 0
    index: int = 0
    split: Split = "train"

    def __post_init__(self):
        depths = [o.depth for o in self.objects]
        check(all(a < b for a, b in pairwise(depths)), "scene.objects", depths, "nearest first")
        check(self.aspect > 0, "scene.aspect", self.aspect, "positive")

    @property
    def half(self) -> tuple[float, float]:
        """Half of the frame's width and height in units."""
        return max(1.0, self.aspect) / 2, max(1.0, 1 / self.aspect) / 2


def by_depth(objects: tuple[Object, ...] | list[Object]) -> tuple[Object, ...]:
    """Nearest first."""
    return tuple(sorted(objects, key=lambda o: o.depth))

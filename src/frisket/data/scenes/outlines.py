"""Closed polygons of every class: ten shapes in closed form, and scikit-learn's 1,797 real digits traced at sub-pixel.

A digit's 8x8 grey image is enlarged by bicubic interpolation and contoured at `LEVEL` of its maximum (marching squares,
contourpy); the curve is resampled at equal arc length. Coordinates are local: centred, the longest half-side 1, y down.
Loops are oriented so that a signed sum of areas counts the inside as 1 and holes as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from frisket.data.base import Split
from frisket.data.scenes.store import Arrays, digest, stored

LEVEL = 0.38
ENLARGE = 4
STEP = 0.6  # of the 8x8 grid: length of an edge
GRID = 4096  # vertices are multiples of 1 / GRID, so that their hash is the same on every machine
RECIPE = f"scenes outlines 1: level {LEVEL}, enlarge {ENLARGE}, step {STEP}, grid {GRID}"


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """Edges of all outlines, packed. edges float32 (e, 4): x0 y0 x1 y1. first, count (o,): the span of each outline.

    Outline 0..9: the shapes; 10 + i: digit instance i. labels (1797,): classes of the digits. digest: of the content.
    """

    edges: Tensor
    first: Tensor
    count: Tensor
    labels: Tensor
    digest: str

    def index(self, label: Tensor, instance: Tensor) -> Tensor:
        """The outline of objects given by label and instance (same shapes)."""
        return torch.where(label < 10, instance + 10, label - 10)

    def gather(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Edges (e, 4) of the outlines `which` (n,), one after the other, and the position in `which` of each (e,)."""
        counts = self.count[which]
        owner = torch.repeat_interleave(counts)
        start = self.first[which] - (counts.cumsum(0) - counts)
        return self.edges[torch.arange(len(owner)) + start[owner]], owner


@cache
def outlines() -> Outlines:
    """All outlines; traced once, in about a second, then read from the cache folder (without scikit-learn)."""
    held = stored("outlines", RECIPE, _trace_all)
    edges = torch.from_numpy(held["edges"]).to(torch.float32) / GRID
    count = torch.from_numpy(held["count"])
    return Outlines(
        edges=edges, first=count.cumsum(0) - count, count=count,
        labels=torch.from_numpy(held["labels"]), digest=digest(held),
    )  # fmt: skip


@cache
def instances(split: Split) -> tuple[Tensor, ...]:
    """Digit instances of a split by class 0..9, in a fixed shuffled order. The splits are those of `data/digits`."""
    labels = outlines().labels.numpy()
    order = np.random.default_rng(0).permutation(len(labels))
    test = np.arange(len(order)) % 5 == 4
    chosen = order[test if split == "test" else ~test]
    return tuple(torch.from_numpy(chosen[labels[chosen] == digit]) for digit in range(10))


def _trace_all() -> Arrays:
    from frisket.data.digits import _load

    images, labels = _load()
    loops = [_shape(name) for name in range(10)] + _trace(images)
    edges = [np.concatenate([np.concatenate([p, np.roll(p, -1, 0)], 1) for p in part]) for part in map(_fit, loops)]
    packed = np.round(np.concatenate(edges) * GRID).astype(np.int16)
    return {"edges": packed, "count": np.array([len(e) for e in edges]), "labels": labels}


def _trace(images: np.ndarray) -> list[list[np.ndarray]]:
    """The contour loops of images (n, 1, 8, 8), in cells of the enlarged grid."""
    from contourpy import contour_generator

    x = torch.nn.functional.pad(torch.from_numpy(images), (2, 2, 2, 2))
    x = torch.nn.functional.interpolate(x, scale_factor=ENLARGE, mode="bicubic", align_corners=False)
    z = (x / x.amax((2, 3), keepdim=True))[:, 0].to(torch.float64).numpy()
    found = [[np.asarray(p) for p in contour_generator(z=one).lines(LEVEL)] for one in z]
    return [[_resample(p) for p in loops if _long(p)] for loops in found]


def _long(points: np.ndarray) -> bool:
    """Specks below half a cell of the 8x8 grid across are noise of the scan."""
    return bool(np.ptp(points, axis=0).max() > ENLARGE / 2)


def _resample(points: np.ndarray) -> np.ndarray:
    """A closed loop (its last point repeats the first) as vertices at equal arc length."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    n = max(8, round(length[-1] / (STEP * ENLARGE)))
    at = np.arange(n) * length[-1] / n
    return np.stack([np.interp(at, length, points[:, axis]) for axis in (0, 1)], 1)


def _fit(loops: list[np.ndarray]) -> list[np.ndarray]:
    """Loops centred, scaled to a longest half-side of 1, and oriented to a positive area."""
    low = np.min([p.min(0) for p in loops], 0)
    high = np.max([p.max(0) for p in loops], 0)
    loops = [(p - (low + high) / 2) / ((high - low).max() / 2) for p in loops]
    area = sum(_area(p) for p in loops)
    return [p if area > 0 else p[::-1] for p in loops]


def _area(p: np.ndarray) -> float:
    """Signed area; positive where the left border runs down the image, as `coverage` counts it."""
    q = np.roll(p, -1, 0)
    return float(((p[:, 0] + q[:, 0]) / 2 * (p[:, 1] - q[:, 1])).sum())


def _circle(radius: float = 1.0, n: int = 64, start: float = 0.0, turn: float = 2 * np.pi) -> np.ndarray:
    a = start + np.linspace(0, turn, n, endpoint=turn < 2 * np.pi)
    return radius * np.stack([np.cos(a), np.sin(a)], 1)


def _shape(number: int) -> list[np.ndarray]:
    """Loops of `SHAPES[number]`."""
    up = -np.pi / 2
    if number == 1:
        return [np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]) * 0.9]
    if number == 4:
        star = _circle(1.0, 10, up)
        star[1::2] *= 0.42
        return [star]
    if number == 5:
        a = 0.36
        return [np.array([[-a, -1], [a, -1], [a, -a], [1, -a], [1, a], [a, a], [a, 1], [-a, 1], [-a, a], [-1, a],
                          [-1, -a], [-a, -a]])]  # fmt: skip
    if number == 6:
        t = np.linspace(0, 2 * np.pi, 56, endpoint=False)
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return [np.stack([16 * np.sin(t) ** 3, y], 1)]
    if number == 7:
        return [_circle(1.0), _circle(0.55)[::-1]]
    if number == 8:
        outer = _circle(1.0, 48, 0.7, 2 * np.pi - 1.4)
        x0 = np.cos(0.7)  # the inner arc meets the outer one at both tips
        radius = np.hypot(x0 - 0.45, np.sin(0.7))
        tip = np.arctan2(np.sin(0.7), x0 - 0.45)
        inner = _circle(radius, 34, -tip, -(2 * np.pi - 2 * tip))[1:-1] + np.array([0.45, 0])
        return [np.concatenate([outer, inner])]
    if number == 9:
        return [np.array([[-1, -0.3], [0.1, -0.3], [0.1, -0.85], [1, 0], [0.1, 0.85], [0.1, 0.3], [-1, 0.3]])]
    return [_circle(1.0, {0: 64, 2: 3, 3: 5}[number], up)]

"""Garments: two colours, a pattern on the cloth, long or short sleeves. Every one is a function of its numbers.

Patterns live in fabric coordinates (across and along each piece), so they turn and bend with the limb that wears them
and lie straight on the flat garment. Combinations of colours and pattern are divided between the splits: a test garment
was never worn in training.
Shapes: b figures, k pieces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.random import mix_int
from frisket.data.base import Split
from frisket.data.scenes.vocabulary import COLOUR_RGB

PATTERNS = ("plain", "hooped", "pinstriped", "checked", "dotted")
WAVES = ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1.5, 1.5, 0, -1.5))  # of along, across, both, 1
SLEEVES = ("short", "long")
CYCLES = (3.5, 6.0)  # of a pattern, in cycles a height
HELD_OUT = 5  # one combination in this many is the test split's


@cache
def combinations(split: Split) -> Int[Tensor, "m 3"]:
    """(first colour, second colour, pattern) of every garment of a split; a plain one has both colours equal."""
    count = len(COLOUR_RGB)
    every = [
        (a, b, p) for a in range(count) for b in range(count) for p in range(len(PATTERNS)) if (a == b) == (p == 0)
    ]
    held = [c for i, c in enumerate(every) if (mix_int(i) % HELD_OUT == 0) == (split == "test")]
    return torch.tensor(held)


def draw_garments(u: Float[Tensor, "b 3"], split: Split) -> dict[str, Tensor]:
    """Garment columns from uniform numbers: colours (b, 2), pattern, sleeves int64 (b,), cycles float64 (b,)."""
    held = combinations(split)
    chosen = held[(u[:, 0] * len(held)).long()]
    low, high = CYCLES
    return {
        "colours": chosen[:, :2], "pattern": chosen[:, 2], "sleeves": (u[:, 1] * len(SLEEVES)).long(),
        "cycles": low + (high - low) * u[:, 2],
    }  # fmt: skip


def paint(garments: Mapping[str, Tensor], places: Float[Tensor, "b k h w 2"]) -> Float[Tensor, "b k 3 h w"]:
    """The cloth's colour at fabric coordinates (across, along) in heights."""
    turns = 2 * math.pi * garments["cycles"].to(places.dtype)[:, None, None, None]
    across, along = (turns * places[..., 0]).cos(), (turns * places[..., 1]).sin()
    on_along, on_across, on_both, rest = (
        places.new_tensor(WAVES)[garments["pattern"]][:, i, None, None, None] for i in range(4)
    )
    share = (0.5 + 1.5 * (on_along * along + on_across * across + on_both * across * along + rest)).clamp(0, 1)
    rgb = places.new_tensor(COLOUR_RGB)[garments["colours"]]  # (b, 2, 3)
    first, second = (rgb[:, None, i, :, None, None] for i in (0, 1))
    return first + (second - first) * share[:, :, None]

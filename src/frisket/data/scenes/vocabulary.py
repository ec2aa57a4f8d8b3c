"""Every name that a scene can use: classes, colours, grounds, textures, sizes, places. A name's position is its id.

Object colours are vivid, grounds are muted or dark, so any object stands out on any ground. No word has two roles,
which is what lets `parse` read captions that leave facts out.
"""

from __future__ import annotations

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHAPES = ("circle", "square", "triangle", "pentagon", "star", "cross", "heart", "ring", "crescent", "arrow")
CLASSES = DIGITS + SHAPES  # label 0..19
KINDS = ("digit", "shape")

COLOURS = ("red", "yellow", "blue", "green", "orange", "purple", "teal", "pink", "white", "brown")
COLOUR_RGB = (
    (0.84, 0.22, 0.24), (0.93, 0.77, 0.24), (0.25, 0.47, 0.86), (0.33, 0.68, 0.33), (0.92, 0.51, 0.18),
    (0.56, 0.35, 0.76), (0.20, 0.69, 0.68), (0.92, 0.55, 0.70), (0.90, 0.89, 0.86), (0.55, 0.37, 0.24),
)  # fmt: skip

GROUNDS = ("navy", "cream", "slate", "plum", "forest", "sand")
GROUND_RGB = (
    (0.11, 0.15, 0.29), (0.75, 0.71, 0.62), (0.31, 0.35, 0.40), (0.26, 0.13, 0.25), (0.10, 0.23, 0.19),
    (0.66, 0.56, 0.43),
)  # fmt: skip

TEXTURES = ("plain", "striped", "checked", "grainy")
SIZES = ("small", "medium", "large")
SIZE_LIMITS = (0.16, 0.20)  # radius below the first is small, below the second medium
PLACES = (
    "top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right",
)  # fmt: skip
ACTIONS = ("stay", "left", "right", "up", "down")

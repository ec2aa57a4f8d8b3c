"""Aspect buckets: a few image sizes of nearly equal area, and one padded canvas for a batch of them.

Shapes: b images, c channels, h w of the canvas.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check

Size = tuple[int, int]


def buckets(side: int, multiple: int, ratio: float = 2.0) -> tuple[Size, ...]:
    """Sizes (h, w), both multiples of `multiple`, with about `side`^2 pixels and sides' ratio at most `ratio`.

    One for every shorter side, upright and lying. Raises `FrisketError` if `multiple` exceeds `side`.
    """
    check(1 <= multiple <= side, "multiple", multiple, f"in 1..side = {side}")
    check(ratio >= 1, "ratio", ratio, "at least 1")
    out = set()
    for h in range(multiple, side + 1, multiple):
        w = max(multiple, round(side * side / h / multiple) * multiple)
        if max(h, w) / min(h, w) <= ratio + 1e-9:
            out |= {(h, w), (w, h)}
    return tuple(sorted(out))


def bucket_of(seed: int, ids: Int[Tensor, "b"], count: int) -> Int[Tensor, "b"]:
    """Which of `count` buckets each item has: uniform, and a function of (seed, id)."""
    u = random.uniform(random.key(seed, ids, random.hash_text("bucket")), 1)[:, 0]
    return (u * count).long().clamp(max=count - 1)


def pad(images: list[Tensor], size: Size) -> tuple[Shaped[Tensor, "b *c h w"], Bool[Tensor, "b 1 h w"]]:
    """Images (*c, h_i, w_i) in the top left corner of one canvas of zeros, and `valid`: True on real pixels."""
    x = torch.stack([_fill(image, size) for image in images])
    valid = torch.zeros(len(images), 1, *size, dtype=torch.bool)
    for i, image in enumerate(images):
        valid[i, :, : image.shape[-2], : image.shape[-1]] = True
    return x, valid


def _fill(image: Tensor, size: Size) -> Tensor:
    out = image.new_zeros(*image.shape[:-2], *size)
    out[..., : image.shape[-2], : image.shape[-1]] = image
    return out

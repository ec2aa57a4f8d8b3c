"""Images to one picture file: small ones enlarged by whole factors, in rows, never blurred.

Shapes: n images, c channels (1 grey, 3 colour), h height, w width.
"""

from __future__ import annotations

import math
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.files import atomic_file


def sheet(
    images: Float[Tensor, "n c h w"], columns: int | None = None, gap: int = 2, least: int = 64
) -> Float[Tensor, "c H W"]:
    """The images, in [0, 1], in rows of `columns` (the square root of n by default) with `gap` white pixels between
    them, each enlarged by the largest whole factor that keeps its longer side at or below `least`, or by 1."""
    n, c, h, w = images.shape
    check(n >= 1, "images", n, "at least one")
    across = columns or math.ceil(math.sqrt(n))
    down = -(-n // across)
    factor = max(1, least // max(h, w))
    big = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    high, wide = h * factor + gap, w * factor + gap
    out = images.new_ones(c, down * high - gap, across * wide - gap)
    for i, image in enumerate(big):
        top, left = i // across * high, i % across * wide
        out[:, top : top + h * factor, left : left + w * factor] = image
    return out


def save_picture(path: Path | str, image: Float[Tensor, "c h w"]) -> None:
    """Write one image in [0, 1] as a PNG of its own size, atomically. Raises `FrisketError` unless c is 1 or 3."""
    from PIL import Image

    check(image.ndim == 3 and image.shape[0] in (1, 3), "image", tuple(image.shape), "(1 or 3, h, w)")
    pixels = (image.detach().float().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with atomic_file(path) as aside:
        Image.fromarray(pixels[..., 0] if image.shape[0] == 1 else pixels).save(aside, format="PNG")


def save_sheet(path: Path | str, images: Float[Tensor, "n c h w"], columns: int | None = None) -> None:
    """Write images as one PNG sheet, atomically."""
    save_picture(path, sheet(images.detach().float().cpu(), columns))

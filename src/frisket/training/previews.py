"""Previews on disk: images as one PNG sheet, text as lines, any other tensor as safetensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.files import atomic_file, save_tensors


def sheet(images: Float[Tensor, "b c h w"], gap: int = 1) -> Float[Tensor, "c H W"]:
    """The images, in [0, 1], in rows of about the square root of their number, `gap` white pixels between them."""
    count, channels, height, width = images.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    out = images.new_ones(channels, down * (height + gap) - gap, across * (width + gap) - gap)
    for i, image in enumerate(images):
        y, x = i // across * (height + gap), i % across * (width + gap)
        out[:, y : y + height, x : x + width] = image
    return out


def write_preview(stem: Path, shown: Any) -> Path:
    """Write `shown` beside `stem` with the suffix of its kind; returns the file. Images are (b, 1 or 3, h, w)."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(shown, (list, tuple)) and all(isinstance(s, str) for s in shown):
        with atomic_file(stem.with_suffix(".txt")) as aside:
            aside.write_text("\n".join(shown) + "\n")
        return stem.with_suffix(".txt")
    if not isinstance(shown, Tensor):
        raise FrisketError(f"a preview is a tensor or a list of texts, not {type(shown).__name__}")
    if shown.ndim != 4 or shown.shape[1] not in (1, 3) or not shown.is_floating_point():
        save_tensors(stem.with_suffix(".safetensors"), {"preview": shown})
        return stem.with_suffix(".safetensors")
    from PIL import Image

    pixels = (sheet(shown.detach().float().cpu()).clamp(0, 1) * 255).round().to(torch.uint8)
    picture = Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())
    with atomic_file(stem.with_suffix(".png")) as aside:
        picture.save(aside, format="PNG")
    return stem.with_suffix(".png")

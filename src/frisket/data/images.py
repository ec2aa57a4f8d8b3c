"""From a picture file to a tensor: decode, shorter side to `size`, centre crop."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Broken(ValueError):
    """A file that holds no readable picture; the caller decides whether to go on."""


def check_image(size: int, channels: int) -> None:
    check(size >= 1, "data.size", size, "1 or more")
    check(channels in MODES, "data.channels", channels, "1 (grey), 3 (colour) or 4 (colour and opacity)")


def read_image(file: Path | bytes, size: int, channels: int) -> Float[Tensor, "c h w"]:
    """float32 (channels, size, size) in [0, 1] of a path or of a file's bytes; the first frame of an animation.

    Transparent pixels keep the colour stored under them when channels < 4. 16-bit grey is scaled, not clipped.
    Raises `Broken` if it cannot be decoded.
    """
    from PIL import Image

    errors = (
        OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError
    )  # fmt: skip
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            image.load()
            return fit(image, size, channels)
    except errors as error:
        raise Broken(" ".join(str(error).split()) or type(error).__name__) from error


def fit(image: Any, size: int, channels: int) -> Float[Tensor, "c h w"]:
    """A PIL image with its shorter side resized to `size` (Lanczos, antialiased) and its centre cut out, in [0, 1]."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64) / 65535
        image = Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))
    image = image.convert(MODES[channels])
    if image.size != (size, size):
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        image = image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).reshape(size, size, channels)
    return pixels.permute(2, 0, 1).float() / 255

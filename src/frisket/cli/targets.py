"""What a verb's argument names: a run folder, a model folder, a hub id, an image file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json
from frisket.data.base import Data, parse_data

if TYPE_CHECKING:
    from frisket.experiments.experiment import Experiment
    from frisket.sampling.pipeline import Pipeline


def load_pipeline(target: str) -> Pipeline:
    """The pipeline of a run folder (its `model/`), of a model folder, or of a hub id."""
    from frisket.sampling.pipeline import Pipeline

    folder = Path(target)
    return Pipeline.from_pretrained(str(folder / "model") if (folder / "model").is_dir() else target)


def load_experiment(target: str) -> Experiment | None:
    """The experiment stored in a run folder, or None where `target` is a bare model."""
    from frisket.core.config import from_config

    path = Path(target) / "config.json"
    if not path.is_file():
        return None
    config = read_json(path)
    return from_config(config) if config.get("part") == "experiment" else None


def data_of(target: str, named: str | None) -> Data:
    """The data set named on the command line, else the one the run learnt from. Raises if there is neither."""
    if named:
        return parse_data(named)
    experiment = load_experiment(target)
    if experiment is None:
        raise FrisketError(f"{target} does not say which data it learnt from; give --data")
    return experiment.data


def read_image(path: str, channels: int, size: tuple[int, int]) -> Tensor:
    """An image file as float32 (1, c, h, w) in [0, 1]. Raises `FrisketError` if it is missing, broken or another size."""
    from PIL import Image, UnidentifiedImageError

    check(channels in (1, 3), "channels", channels, "1 or 3, to be an image")
    try:
        with Image.open(path) as file:
            image = file.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise FrisketError(f"image {path} does not exist") from None
    except (UnidentifiedImageError, OSError) as error:
        raise FrisketError(f"image {path} cannot be read: {error}") from None
    if (image.height, image.width) != size:
        raise FrisketError(
            f"image {path} is {image.width} x {image.height} (w x h); the model takes {size[1]} x {size[0]}"
        )
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*size, channels)
    return values.permute(2, 0, 1)[None].float() / 255


def write_grid(path: str | Path, images: Tensor, columns: int | None = None, pixels: int = 64) -> None:
    """Images (n, c, h, w) in [0, 1] as one PNG grid; small ones are enlarged by whole factors to about `pixels`."""
    from PIL import Image

    n, c, h, w = images.shape
    columns = columns or max(1, round(n**0.5))
    factor = max(1, pixels // max(h, w))
    big = images.clamp(0, 1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    rows = -(-n // columns)
    sheet = torch.ones(c, rows * (h * factor + 2) + 2, columns * (w * factor + 2) + 2)
    for i, image in enumerate(big):
        top, left = 2 + (i // columns) * (h * factor + 2), 2 + (i % columns) * (w * factor + 2)
        sheet[:, top : top + h * factor, left : left + w * factor] = image
    array = (sheet * 255).round().byte().permute(1, 2, 0).numpy()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if c == 1 else array[..., :3]).save(path)

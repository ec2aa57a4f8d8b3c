"""What a verb's argument names: a run folder, a model folder, a hub id, an image file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json
from frisket.data.base import Data, parse_data
from frisket.data.images import MODES

if TYPE_CHECKING:
    from frisket.experiments.experiment import Experiment


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


def read_exact(path: str, channels: int, size: tuple[int, int]) -> Tensor:
    """An image file as float32 (1, c, h, w) in [0, 1]. Raises `FrisketError` if it is missing, broken or another size."""
    from PIL import Image, UnidentifiedImageError

    check(channels in MODES, "channels", channels, "1, 3 or 4, to be an image")
    try:
        with Image.open(path) as file:
            found = file.height, file.width
            image = np.array(file.convert(MODES[channels]), dtype=np.uint8)
    except FileNotFoundError:
        raise FrisketError(f"image {path} does not exist") from None
    except (UnidentifiedImageError, OSError) as error:
        raise FrisketError(f"image {path} cannot be read: {error}") from None
    if found != size:
        raise FrisketError(f"image {path} is {found[1]} x {found[0]} (w x h); the model takes {size[1]} x {size[0]}")
    return torch.from_numpy(image).view(*size, channels).permute(2, 0, 1)[None].float() / 255

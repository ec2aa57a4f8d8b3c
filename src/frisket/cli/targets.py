"""What a verb's argument names: a run folder, a model folder, a hub id, an image file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json
from frisket.data.base import Data, Info, parse_data
from frisket.data.images import MODES

if TYPE_CHECKING:
    from frisket.experiments.experiment import Experiment
    from frisket.sampling.pipeline import Pipeline


def load_on(target: str, device: str = "auto") -> Pipeline:
    """The pipeline that `target` names, on `device`; "auto" takes a GPU where there is one."""
    from frisket.experiments.system import load

    has = torch.cuda.is_available()
    check(has or device != "cuda", "--device", device, "'auto' or 'cpu': torch sees no GPU here")
    return load(target).to("cuda" if has and device != "cpu" else "cpu")


def label_of(text: str | None) -> dict[str, int | str]:
    """The condition that `--class TEXT` asks for: a class by number, else by name; {} for None."""
    if text is None:
        return {}
    return {"label": int(text) if text.lstrip("-").isdecimal() else text}


def said(label: str | None, caption: str | None) -> dict[str, int | str]:
    """The conditions that `--class` and `--caption` ask for; what is not said is left out."""
    return label_of(label) | ({} if caption is None else {"caption": caption})


def load_experiment(target: str) -> Experiment | None:
    """The experiment stored in a run folder, or None where `target` is a bare model."""
    from frisket.core.config import from_config

    path = Path(target) / "config.json"
    if not path.is_file():
        return None
    config = read_json(path)
    if not isinstance(config, dict) or config.get("part") != "experiment":
        return None
    return from_config(config)


def data_of(target: str, named: str | None, info: Info) -> Data:
    """The data set named on the command line, else the one the run learnt from. Pictures of a user are read in the size
    and the channels that the model makes (`info`). Raises if there is neither."""
    if named:
        return pictures_like(parse_data(named), info)
    experiment = load_experiment(target)
    if experiment is None:
        raise FrisketError(f"{target} does not say which data it learnt from; give --data")
    return experiment.data


def pictures_like(data: Data, info: Info) -> Data:
    """A copy of a set whose pictures can be read in any size and number of channels, with those of `info`; any other
    set as it is."""
    held = getattr(data, "__dataclass_fields__", {})
    if info.kind != "image" or not {"target", "size", "channels"} <= set(held):
        return data
    channels, height, width = info.shape
    return replace(data, size=height, channels=channels) if height == width else data  # type: ignore[type-var]


def read_exact(path: str, channels: int, size: tuple[int, int]) -> Tensor:
    """An image file as float32 (1, c, h, w) in [0, 1], value for value.

    Raises `FrisketError` if it is missing, broken, of another size, or holds what c channels of 8 bits cannot (colour
    for a grey model, transparency, 16 bits).
    """
    found = _read(path, channels)
    image = found.convert(MODES[channels])
    if found.mode.startswith(("I", "F")) or found.convert("RGBA").tobytes() != image.convert("RGBA").tobytes():
        raise FrisketError(
            f"image {path} ({found.mode}) cannot be kept exactly as {MODES[channels]} of 8 bits; convert it"
        )
    return _tensor(path, image, channels, size)


def read_mask(path: str, size: tuple[int, int]) -> Tensor:
    """A mask file as bool (1, 1, h, w), True where it is lighter than 1/2. Raises as `read_exact`, but takes any mode."""
    return _tensor(path, _read(path, 1).convert("L"), 1, size) > 0.5


def _read(path: str, channels: int) -> Any:
    from PIL import Image

    check(channels in MODES, "channels", channels, "1, 3 or 4, to be an image")
    try:
        with Image.open(path) as file:
            file.load()
            return file.copy()
    except FileNotFoundError:
        raise FrisketError(f"image {path} does not exist") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's complaints about broken files
        raise FrisketError(f"image {path} cannot be read: {error}") from None


def _tensor(path: str, image: Any, channels: int, size: tuple[int, int]) -> Tensor:
    if (image.height, image.width) != size:
        found = f"{image.width} x {image.height}"
        raise FrisketError(f"image {path} is {found} (w x h); the model takes {size[1]} x {size[0]}")
    values = torch.from_numpy(np.array(image, dtype=np.uint8))
    return values.view(*size, channels).permute(2, 0, 1)[None].float() / 255

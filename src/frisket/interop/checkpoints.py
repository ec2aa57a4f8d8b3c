"""Weights out of a checkpoint file, whatever wraps them, without running code of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.files import load_tensors

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
WRAPPERS = ("ema", "model", "state_dict")  # averages before raw weights


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors by name of a .safetensors file, or of a torch file: a state dict, or one under "ema", "model" or
    "state_dict" (the first there is). A "module." before every name is left out.

    Torch files are read with weights_only=True: what would run code on loading is refused. Raises `FrisketError` on
    that, on a file that is missing, broken or of another kind, and on one without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FrisketError(f"checkpoint {path} does not exist")
    check(path.suffix in (*PICKLED, ".safetensors"), "checkpoint", str(path), f"{', '.join(PICKLED)} or .safetensors")
    weights = load_tensors(path) if path.suffix == ".safetensors" else _unwrapped(_read_torch(path), path)
    inside = [name.removeprefix("module.") for name in weights]
    if all(name.startswith("module.") for name in weights):
        return dict(zip(inside, weights.values(), strict=True))
    return weights


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # training scripts store their arguments
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever an unpickler meets in a file that is none, or must not be one
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FrisketError(f"{path} cannot be read as weights alone, and code in it is never run: {first}") from None


def _unwrapped(held: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(held, Mapping):
        raise FrisketError(f"{path} holds {type(held).__name__}, not weights by name")
    for inner in (*(held.get(name) for name in WRAPPERS), held):
        if isinstance(inner, Mapping) and inner and all(isinstance(v, Tensor) for v in inner.values()):
            return {str(name): value for name, value in inner.items()}
    raise FrisketError(
        f"{path} holds no weights by name, nor under {', '.join(WRAPPERS)}; it holds {', '.join(map(str, held))}"
    )

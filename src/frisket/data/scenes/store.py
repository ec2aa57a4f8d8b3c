"""Computed arrays kept as .npz in `$FRISKET_CACHE`, or `~/.cache/frisket`. Never pickled; written atomically."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def folder() -> Path:
    """Where computed arrays are kept."""
    return Path(os.environ.get("FRISKET_CACHE") or Path.home() / ".cache" / "frisket")


def stored(name: str, recipe: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of `make`, computed once for each `recipe` (a text that says all they depend on).

    A cache that cannot be written costs time at the next start and nothing else, so it only warns.
    """
    path = folder() / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as held:
            return {key: held[key] for key in held.files}
    arrays = make()
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError as error:
        warnings.warn(f"{path} could not be written ({error}); it will be computed again", stacklevel=2)
    return arrays


def digest(arrays: Arrays) -> str:
    """Hexadecimal hash of names, shapes, dtypes and bytes."""
    out = hashlib.sha256()
    for key in sorted(arrays):
        out.update(f"{key} {arrays[key].shape} {arrays[key].dtype}".encode())
        out.update(np.ascontiguousarray(arrays[key]).tobytes())
    return out.hexdigest()[:12]

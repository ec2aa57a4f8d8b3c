"""What a feature extractor promises: data to a feature vector a sample, and class probabilities where it has them.

Images come in as float (b, c, h, w) in [0, 1], as the data room gives and codecs decode them.
Shapes: b batch, n samples, d features, k classes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.data.base import Data


@runtime_checkable
class Extractor(Protocol):
    """A built extractor. `name` identifies it with its weights; `classes` is 0 when it gives no probabilities."""

    name: str
    classes: int

    def __call__(self, x: Tensor) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k"] | None]:
        """Features, and class probabilities or None."""
        ...


@runtime_checkable
class Features(Protocol):
    """A registered value ("features/...")."""

    def build(self, data: Data) -> Extractor:
        """The extractor for `data`; trains or loads it when needed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """float64 arrays of a whole set."""

    features: Float[np.ndarray, "n d"]
    probabilities: Float[np.ndarray, "n k"] | None = None

    def take(self, index: np.ndarray | slice) -> Extracted:
        """Some of the samples."""
        chosen = None if self.probabilities is None else self.probabilities[index]
        return Extracted(features=self.features[index], probabilities=chosen)


def extract(extractor: Extractor, x: Tensor, batch: int = 256) -> Extracted:
    """Features of all samples in `x` (n, ...), `batch` at a time.

    Raises `FrisketError` on an empty or non-finite set.
    """
    check(len(x) > 0, "samples", len(x), "at least 1")
    check(bool(torch.isfinite(x).all()), "samples", "with NaN or infinity", "finite")
    parts = [extractor(x[i : i + batch]) for i in range(0, len(x), batch)]
    features = torch.cat([f for f, _ in parts]).double().cpu().numpy()
    given = [p for _, p in parts if p is not None]
    return Extracted(features=features, probabilities=torch.cat(given).double().cpu().numpy() if given else None)


def cache_folder() -> Path:
    """Where trained extractors are kept: $FRISKET_CACHE, else ~/.cache/frisket."""
    return Path(os.environ.get("FRISKET_CACHE") or Path.home() / ".cache" / "frisket")


def as_rgb(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
    """Images clamped to [0, 1] with three channels; grey is repeated, alpha left out."""
    check(x.ndim == 4 and x.shape[1] in (1, 3, 4), "samples", tuple(x.shape), "images (b, 1, 3 or 4, h, w)")
    return (x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]).clamp(0, 1)

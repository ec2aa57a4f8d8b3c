"""Changing one part of a picture by a reference, on data whose other outcome is known (`source.swap`).

Shapes: b items, c channels, h height, w width.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.data.base import Batch, Data
from frisket.sampling.pipeline import Pipeline

GIVEN = ("person", "garment")


def swapping(data: Data) -> Any:
    """The test split of a set that can swap. Raises `FrisketError` on one that cannot."""
    source = data.open("test")
    if not hasattr(source, "swap"):
        raise FrisketError(f"{type(data).__name__} knows no swaps (data/figures and data/sprites do)")
    return source


def conditions(pipeline: Pipeline, batch: Batch) -> dict[str, Any]:
    """What the pipeline's model reads of a batch: what is given of the picture and the reference; classes dropped."""
    ways = getattr(getattr(pipeline.model, "doors", None), "ways", {})
    return {name: batch[name] if name in GIVEN else None for name in ways}


def filled(pipeline: Pipeline, batch: Batch, seed: int = 0) -> Float[Tensor, "b c h w"]:
    """The items with their hidden region made anew; outside it they are as given, bit for bit."""
    return pipeline.edit(batch["person"], batch["region"], seed=seed, **conditions(pipeline, batch))


def forwards(pipeline: Pipeline, batch: Batch) -> int:
    """Forwards that one item takes."""
    one = {name: value[:1] for name, value in batch.items() if name in GIVEN}
    return list(pipeline.snapshots(1, **conditions(pipeline, one)))[-1].forwards


def region_error(
    made: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"], region: Bool[Tensor, "b 1 h w"]
) -> Float[Tensor, "b"]:
    """Mean squared error inside the region, an item."""
    inside = (made - truth).square() * region
    return inside.flatten(1).sum(1) / (region.flatten(1).sum(1) * made.shape[1])


def psnr(error: Float[Tensor, "b"]) -> float:
    """Mean over items of 10 log10(1 / error), decibels."""
    return float((-10 * error.clamp(min=1e-10).log10()).mean())


def pasted(batch: Batch) -> Float[Tensor, "b c h w"]:
    """The floor that knows the reference: it is laid flat into the region, at its own place."""
    return torch.where(batch["region"], batch["garment"], batch["person"])


def average(source: Any, batch: Batch, count: int = 256) -> Float[Tensor, "b c h w"]:
    """The floor that knows the set: the mean picture in the region."""
    mean = source.batch(torch.arange(count))["x"].mean(0, keepdim=True)
    return torch.where(batch["region"], mean, batch["person"])

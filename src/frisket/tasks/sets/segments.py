"""The segments of labelled images, as a padded set: a class and a mask each.

A batch says per pixel the class (`semantic`, negative where there is no ground truth) and, if its things are told apart,
the number of the thing (`instances`). A segment is all pixels of an image that share both; without `instances` a segment
is a class, which is semantic segmentation.
Shapes: b batch, h height, w width, t segments at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.data.base import Batch


@dataclass(frozen=True)
class Segments:
    """classes: -1 where a row has fewer segments than others. masks: 1.0 inside."""

    classes: Int[Tensor, "b t"]
    masks: Float[Tensor, "b t h w"]

    @property
    def present(self) -> Bool[Tensor, "b t"]:
        return self.classes >= 0

    @property
    def count(self) -> int:
        """How many segments all rows have together."""
        return int(self.present.sum())


def segments_of(batch: Batch, classes: int) -> Segments:
    """The segments of a batch, ordered by thing, then class. Raises `FrisketError` if the batch has no `semantic`, or a
    class of it is not below `classes`."""
    if "semantic" not in batch:
        raise FrisketError(f"segmentation needs the class of each pixel, 'semantic'; the data offers {sorted(batch)}")
    semantic = batch["semantic"]
    top = int(semantic.max())
    check(top < classes, "batch['semantic']", f"classes up to {top}", f"below the model's {classes} classes")
    things = batch.get("instances")
    things = torch.zeros_like(semantic) if things is None else things
    keys = torch.where(semantic >= 0, things * classes + semantic, -1).flatten(1)  # (b, hw)
    found = [_unique(row) for row in keys]
    most = max(1, max(len(f) for f in found))
    padded = torch.stack([torch.nn.functional.pad(f, (0, most - len(f)), value=-2) for f in found])  # (b, t)
    masks = (keys[:, None] == padded[..., None]).float().unflatten(2, semantic.shape[1:])
    return Segments(torch.where(padded >= 0, padded % classes, -1), masks)


def _unique(keys: Tensor) -> Tensor:
    found = keys.unique()
    return found[found >= 0]

"""Mean intersection over union of classes, the measure of semantic segmentation.

Counts are summed over all images before they are divided, as in the PASCAL VOC and ADE20K benchmarks.
Shapes: k classes; pixels of any shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check


def confusion(found: Int[Tensor, "*p"], truth: Int[Tensor, "*p"], classes: int) -> Int[Tensor, "k k"]:
    """How many pixels of each true class (rows) were given each class (columns). Pixels of negative truth are left out.

    Raises `FrisketError` on classes not below `classes` and on found ones below 0.
    """
    known = truth >= 0
    found, truth = found[known], truth[known]
    if found.numel():
        for name, values in (("found", found), ("truth", truth)):
            ends = int(values.min()), int(values.max())
            check(ends[0] >= 0 and ends[1] < classes, name, ends, f"classes in 0..{classes - 1}")
    return torch.bincount(truth * classes + found, minlength=classes * classes).view(classes, classes)


def iou_of_classes(counts: Int[Tensor, "k k"]) -> Float[Tensor, "k"]:
    """float64 intersection over union of each class in [0, 1]; NaN where a class is neither there nor found."""
    both = counts.diagonal().double()
    return both / (counts.sum(0) + counts.sum(1) - counts.diagonal()).double()


def mean_iou(counts: Int[Tensor, "k k"]) -> float:
    """The mean over classes that are there or found. Raises `FrisketError` if there is none."""
    each = iou_of_classes(counts)
    check(bool(each.isfinite().any()), "pixels", 0, "at least one with ground truth")
    return float(each.nanmean())

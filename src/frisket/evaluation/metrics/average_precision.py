"""Average precision of instance masks over thresholds of their overlap, as the COCO benchmark takes it.

Facts from cocodataset/cocoapi (pycocotools `COCOeval`), for masks of every size and without crowds: in each image
predictions of a class, best first, take the free true instance of largest overlap if that reaches the threshold;
precision at each of 101 recalls is the best at that recall or beyond; AP is the mean over recalls, thresholds .50 to .95
in steps of .05, and classes that have a true instance.
Shapes: n found, m true, h height, w width, k classes, t thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Judged:
    """One image's predictions of one class, best first: their scores, which of them hit at each threshold, and how many
    true instances there are."""

    scores: Float[np.ndarray, "n"]
    hits: Bool[np.ndarray, "t n"]
    true: int


def mask_iou(found: Bool[Tensor, "n h w"], true: Bool[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    """float64 intersection over union of every pair; 0 for two empty masks."""
    a, b = found.flatten(1).double(), true.flatten(1).double()
    both = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None] - both
    return both / union.clamp(min=1)


def judge(
    scores: Float[Tensor, "n"], iou: Float[Tensor, "n m"], *, thresholds: Sequence[float] = THRESHOLDS, most: int = 100
) -> Judged:
    """Which predictions of one class in one image hit; only the best `most` are looked at. Every true instance answers
    one prediction at most."""
    order = scores.argsort(descending=True, stable=True)[:most]
    table = iou[order].numpy()
    hits = np.zeros((len(thresholds), len(order)), dtype=bool)
    for t, threshold in enumerate(thresholds):
        free = np.ones(table.shape[1], dtype=bool)
        for i, row in enumerate(table):
            open_row = np.where(free, row, -1.0)
            best = len(row) - 1 - int(open_row[::-1].argmax()) if len(row) else -1  # of equals the last, as there
            if best >= 0 and open_row[best] >= min(threshold, 1 - 1e-10):
                free[best], hits[t, i] = False, True
    return Judged(scores[order].double().numpy(), hits, iou.shape[1])


def precision_over_recall(judged: Sequence[Judged]) -> Float[np.ndarray, "t"]:
    """Average precision of one class at each threshold over all images, in [0, 1]. Raises `FrisketError` if no image
    has a true instance of it."""
    true = sum(j.true for j in judged)
    check(true > 0, "true instances", true, "at least one")
    scores = np.concatenate([j.scores for j in judged])
    order = np.argsort(-scores, kind="mergesort")
    hits = np.concatenate([j.hits for j in judged], 1)[:, order]
    right, wrong = hits.cumsum(1), (~hits).cumsum(1)
    out = np.zeros(len(hits))
    for t in range(len(hits)):
        precision = right[t] / np.maximum(right[t] + wrong[t], 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or beyond
        where = np.searchsorted(right[t] / true, RECALLS, side="left")
        out[t] = np.append(best, 0.0)[where].mean()
    return out


def average_precision(
    images: Sequence[tuple[Int[Tensor, "n"], Float[Tensor, "n"], Bool[Tensor, "n h w"], Int[Tensor, "m"], Bool[Tensor, "m h w"]]],
    *, thresholds: Sequence[float] = THRESHOLDS, most: int = 100,
) -> dict[str, float]:  # fmt: skip
    """ "ap" over all thresholds and "ap50" at the first, in [0, 1].

    images: of each, the classes, scores and masks found, then the true classes and masks. Raises `FrisketError` if
    there is no true instance at all.
    """
    held: dict[int, list[Judged]] = {}
    names = sorted({int(k) for _, _, _, classes, _ in images for k in classes})
    check(bool(names), "true instances", 0, "at least one")
    for classes, scores, masks, true_classes, true_masks in images:
        for name in names:
            mine, yours = classes == name, true_classes == name
            iou = mask_iou(masks[mine], true_masks[yours])
            held.setdefault(name, []).append(judge(scores[mine], iou, thresholds=thresholds, most=most))
    each = np.stack([precision_over_recall(held[name]) for name in names])  # (k, t)
    return {"ap": float(each.mean()), "ap50": float(each[:, 0].mean())}


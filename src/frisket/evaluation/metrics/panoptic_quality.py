"""Panoptic quality: how well segments are found (RQ) and how well those found are drawn (SQ); PQ is their product.

Kirillov et al. 2019, arXiv 1801.00868. A predicted and a true segment match if they have one class and their
intersection over union is above a half, which no two pairs with a common member can be. Pixels without ground truth
count for nothing: they leave the union, and a prediction that lies mostly on them is no mistake. Sums are taken over all
images, then a class's PQ = sum of matched IoU / (TP + FP / 2 + FN / 2), then the mean over classes that were there or
found.
Shapes: k classes, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check


@dataclass(frozen=True)
class Tally:
    """Matched pairs, needless and missed segments, and the sum of the pairs' IoU, of each class; float64. Tallies of
    several images add."""

    matched: Float[Tensor, "k"]
    needless: Float[Tensor, "k"]
    missed: Float[Tensor, "k"]
    iou: Float[Tensor, "k"]

    @classmethod
    def empty(cls, classes: int) -> Tally:
        return cls(*(torch.zeros(classes, dtype=torch.float64) for _ in range(4)))

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, n) + getattr(other, n) for n in ("matched", "needless", "missed", "iou")))

    def qualities(self) -> dict[str, float]:
        """ "pq", "sq", "rq" in [0, 1]: means over the classes that were there or found. Raises `FrisketError` if none
        was."""
        wrong = (self.needless + self.missed) / 2
        seen = self.matched + wrong > 0
        check(bool(seen.any()), "segments", 0, "at least one, true or found")
        matched, wrong, iou = self.matched[seen], wrong[seen], self.iou[seen]
        drawn = torch.where(matched > 0, iou / matched.clamp(min=1), 0.0)
        found = matched / (matched + wrong)
        return {"pq": float((drawn * found).mean()), "sq": float(drawn.mean()), "rq": float(found.mean())}


def tally(
    found_classes: Int[Tensor, "h w"], found_segments: Int[Tensor, "h w"], true_classes: Int[Tensor, "h w"],
    true_segments: Int[Tensor, "h w"], classes: int,
) -> Tally:  # fmt: skip
    """One image's tally. Classes are in [0, classes), or negative: nothing found, or no ground truth. Pixels of one
    class and one number are a segment. Raises `FrisketError` on classes beyond."""
    maps = (found_classes, found_segments, true_classes, true_segments)
    for name, values in (("found_classes", found_classes), ("true_classes", true_classes)):
        check(int(values.max()) < classes, name, int(values.max()), f"below {classes}")
    ours = _numbered(maps[0], maps[1], classes)
    theirs = _numbered(maps[2], maps[3], classes)
    kinds, index = torch.stack([ours.flatten(), theirs.flatten()], 1).unique(dim=0, return_inverse=True)
    areas = torch.bincount(index).tolist()
    shared = {(a, b): n for (a, b), n in zip(kinds.tolist(), areas, strict=True)}
    mine, yours = _sums(shared, 0), _sums(shared, 1)
    out = Tally.empty(classes)
    hit = set()
    for (a, b), both in shared.items():
        if a < 0 or b < 0 or a % classes != b % classes:
            continue
        iou = both / (mine[a] + yours[b] - both - shared.get((a, -1), 0))
        if iou > 0.5:
            out.matched[a % classes] += 1
            out.iou[a % classes] += iou
            hit |= {("mine", a), ("yours", b)}
    for a, area in mine.items():
        if a >= 0 and ("mine", a) not in hit and shared.get((a, -1), 0) / area <= 0.5:
            out.needless[a % classes] += 1
    for b in yours:
        if b >= 0 and ("yours", b) not in hit:
            out.missed[b % classes] += 1
    return out


def _numbered(named: Tensor, segments: Tensor, classes: int) -> Tensor:
    """One number a (segment, class), class = number modulo `classes`; -1 where there is none."""
    return torch.where(named >= 0, segments * classes + named, -1)


def _sums(shared: dict[tuple[int, int], int], side: int) -> dict[int, int]:
    out: dict[int, int] = {}
    for pair, area in shared.items():
        out[pair[side]] = out.get(pair[side], 0) + area
    return out

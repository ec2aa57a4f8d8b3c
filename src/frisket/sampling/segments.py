"""Reading a segmenter's predictions: a class a pixel, a list of instances, or one panoptic map.

Facts from facebookresearch/Mask2Former maskformer_model.py. Masks are brought to the image's size first. *Semantic*:
every query votes for its classes wherever its mask is, and the best class wins. *Instances*: the best (query, class)
pairs, each scored by the class's probability times the mean probability inside its mask. *Panoptic*: queries that are
sure of a class compete for pixels, and what keeps too little of its own mask is dropped; segments of one uncountable
class are one.
Shapes: b batch, q queries, k classes, n found, h w the image, H W a predicted mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register


@dataclass(frozen=True)
class Instances:
    """What was found in one image, best first. scores in [0, 1]."""

    classes: Int[Tensor, "n"]
    scores: Float[Tensor, "n"]
    masks: Bool[Tensor, "n h w"]


@dataclass(frozen=True)
class Panoptic:
    """Each pixel's class, -1 where nothing was found, and the number of its segment in the image, 0 there."""

    classes: Int[Tensor, "*b h w"]
    segments: Int[Tensor, "*b h w"]


@register("merge/panoptic")
@dataclass(frozen=True, kw_only=True)
class Merge:
    """score: least probability of a query's class. overlap: least share of its own mask that a segment keeps."""

    score: float = 0.8
    overlap: float = 0.8

    def __post_init__(self):
        check(0 <= self.score <= 1, "merge.score", self.score, "between 0 and 1")
        check(0 <= self.overlap <= 1, "merge.overlap", self.overlap, "between 0 and 1")


def enlarge(masks: Float[Tensor, "b q H W"], size: tuple[int, int]) -> Float[Tensor, "b q h w"]:
    """Mask logits at the image's size, bilinear."""
    return functional.interpolate(masks.float(), size=size, mode="bilinear", align_corners=False)


def semantic_scores(classes: Float[Tensor, "b q k"], masks: Float[Tensor, "b q h w"]) -> Float[Tensor, "b c h w"]:
    """Each class's votes at each pixel, c = k - 1, from logits."""
    return torch.einsum("bqk,bqhw->bkhw", classes.float().softmax(-1)[..., :-1], masks.sigmoid())


def read_instances(
    classes: Float[Tensor, "q k"], masks: Float[Tensor, "q h w"], *, stuff: Sequence[int] = (), most: int = 100
) -> Instances:
    """The best `most` (query, class) pairs of one image, from logits, without the uncountable classes `stuff`."""
    chances = classes.float().softmax(-1)[:, :-1]
    count = chances.shape[1]
    scores, best = chances.flatten().topk(min(most, chances.numel()))
    named = best % count
    things = ~torch.isin(named, torch.tensor(stuff, dtype=named.dtype, device=named.device))
    scores, named, found = scores[things], named[things], masks[best[things] // count]
    inside = found > 0
    mean = (found.sigmoid() * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    total = scores * mean
    order = total.argsort(descending=True, stable=True)
    return Instances(named[order], total[order], inside[order])


def merge_panoptic(
    classes: Float[Tensor, "q k"], masks: Float[Tensor, "q h w"], *, merge: Merge, stuff: Sequence[int] = ()
) -> Panoptic:
    """One image's panoptic map from logits. stuff: classes that are not countable."""
    scores, named = classes.float().softmax(-1).max(-1)
    sure = (named != classes.shape[-1] - 1) & (scores > merge.score)
    scores, named, chances = scores[sure], named[sure], masks[sure].sigmoid()
    out = torch.full(masks.shape[1:], -1, device=masks.device), torch.zeros(
        masks.shape[1:], dtype=torch.int64, device=masks.device
    )
    if len(scores) == 0:
        return Panoptic(*out)
    winner = (scores[:, None, None] * chances).argmax(0)
    held: dict[int, int] = {}  # uncountable class -> its segment
    last = 0
    for i, name in enumerate(named.tolist()):
        won, own = winner == i, chances[i] >= 0.5
        area, full, where = int(won.sum()), int(own.sum()), won & own
        if not bool(where.any()) or area / full < merge.overlap:
            continue
        number = held.get(name, last + 1)
        last = max(last, number)
        if name in stuff:
            held[name] = number
        out[0][where], out[1][where] = name, number
    return Panoptic(*out)

"""Which prediction answers which target: the assignment of least total cost, image by image.

The cost of a pair is `classes` times minus the probability of the target's class, plus `masks` times the cross-entropy
and `dice` times the dice of its mask, at uniform points that all masks of the image share (DETR, arXiv 2005.12872;
facebookresearch/Mask2Former matcher.py). Solved by scipy's `linear_sum_assignment`.
Shapes: b batch, q predictions, t targets, n matched pairs of all images, k classes, p points, h w a mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.tasks.sets.costs import pair_cross_entropy, pair_dice
from frisket.tasks.sets.points import read
from frisket.tasks.sets.segments import Segments


@dataclass(frozen=True)
class Pairs:
    """Matched pairs: the row of each, which prediction, which target."""

    row: Int[Tensor, "n"]
    prediction: Int[Tensor, "n"]
    target: Int[Tensor, "n"]


@register("matching/least")
@dataclass(frozen=True, kw_only=True)
class LeastCost:
    """classes, masks, dice: weights of the three costs. points: at which masks are compared."""

    classes: float = 2.0
    masks: float = 5.0
    dice: float = 5.0
    points: int = 144

    def __post_init__(self):
        weights = (self.classes, self.masks, self.dice)
        check(min(weights) >= 0 and max(weights) > 0, "matching weights", weights, "0 or more, and not all 0")
        check(self.points >= 1, "matching.points", self.points, "1 or more")

    @torch.no_grad()
    def costs(
        self, classes: Float[Tensor, "b q k"], masks: Float[Tensor, "b q h w"], targets: Segments,
        points: Float[Tensor, "b p 2"],
    ) -> Float[Tensor, "b q t"]:  # fmt: skip
        """float32 costs of all pairs; those of absent targets mean nothing. classes, masks: logits."""
        chances = classes.float().softmax(-1)
        asked = targets.classes.clamp(min=0)[:, None].expand(-1, chances.shape[1], -1)
        logits, truth = _at(masks.float(), points), _at(targets.masks, points)
        out = -self.classes * chances.gather(2, asked)
        return out + self.masks * pair_cross_entropy(logits, truth) + self.dice * pair_dice(logits, truth)

    def match(
        self, classes: Float[Tensor, "b q k"], masks: Float[Tensor, "b q h w"], targets: Segments,
        points: Float[Tensor, "b p 2"],
    ) -> Pairs:  # fmt: skip
        """The pairs of least total cost of each image: every target has one, while there are as many predictions."""
        costs = self.costs(classes, masks, targets, points).cpu()
        present = targets.present.cpu()
        found = [assign(cost[:, there]) for cost, there in zip(costs, present, strict=True)]
        row = torch.cat([torch.full_like(first, i) for i, (first, _) in enumerate(found)])
        where = [there.nonzero()[:, 0] for there in present]
        target = torch.cat([where[i][second] for i, (_, second) in enumerate(found)])
        prediction = torch.cat([first for first, _ in found])
        return Pairs(*(x.to(masks.device) for x in (row, prediction, target)))


def assign(cost: Float[Tensor, "q t"]) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """Rows and columns of the assignment of least total cost, n = min(q, t)."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost.numpy())
    return torch.as_tensor(rows, dtype=torch.int64), torch.as_tensor(columns, dtype=torch.int64)


def _at(maps: Float[Tensor, "b n h w"], points: Float[Tensor, "b p 2"]) -> Float[Tensor, "b n p"]:
    """All maps of a row at the row's points."""
    b, n = maps.shape[:2]
    wide = points[:, None].expand(b, n, *points.shape[1:])
    return read(maps.flatten(0, 1), wide.flatten(0, 1)).view(b, n, -1)

"""What a predicted mask costs against a true one at points: binary cross-entropy and dice.

Dice is 1 - (2 sum p y + 1) / (sum p + sum y + 1) with p the predicted probability and y the truth (V-Net,
arXiv 1606.04797; the ones as in facebookresearch/Mask2Former criterion.py). Each comes for matched masks and for all
pairs, which the matching needs.
Shapes: b batch, n matched masks, q predictions, t targets, p points.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Float[Tensor, "n p"], truth: Float[Tensor, "n p"]) -> Float[Tensor, "n"]:
    """Mean binary cross-entropy over the points of each mask, in nats."""
    return functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(-1)


def dice(logits: Float[Tensor, "n p"], truth: Float[Tensor, "n p"]) -> Float[Tensor, "n"]:
    """In [0, 1): 0 for equal binary masks."""
    p = logits.sigmoid()
    return 1 - (2 * (p * truth).sum(-1) + 1) / (p.sum(-1) + truth.sum(-1) + 1)


def pair_cross_entropy(logits: Float[Tensor, "b q p"], truth: Float[Tensor, "b t p"]) -> Float[Tensor, "b q t"]:
    """`cross_entropy` of every prediction against every target."""
    inside, outside = functional.softplus(-logits), functional.softplus(logits)
    sums = torch.bmm(inside, truth.transpose(1, 2)) + torch.bmm(outside, 1 - truth.transpose(1, 2))
    return sums / logits.shape[-1]


def pair_dice(logits: Float[Tensor, "b q p"], truth: Float[Tensor, "b t p"]) -> Float[Tensor, "b q t"]:
    """`dice` of every prediction against every target."""
    p = logits.sigmoid()
    both = 2 * torch.bmm(p, truth.transpose(1, 2))
    return 1 - (both + 1) / (p.sum(-1)[:, :, None] + truth.sum(-1)[:, None] + 1)

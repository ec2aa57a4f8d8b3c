"""Points at which masks are compared, instead of all pixels.

PointRend (arXiv 1912.08193), as in facebookresearch/Mask2Former criterion.py: of `oversample` times as many uniform
candidates, a share is taken where the predicted mask is most uncertain (its logit nearest to 0), the rest are uniform.
Points are x, y in [0, 1] of the image, so masks of different sizes are read at the same places. The caller draws.
Shapes: n masks, p points, c candidates, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register


@register("points/uncertain", cite="Kirillov, Wu, He, Girshick. PointRend. 2019. arXiv:1912.08193")
@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """count: points a mask. oversample: candidates a point. share: of points that are the most uncertain candidates."""

    count: int = 144
    oversample: float = 3.0
    share: float = 0.75

    def __post_init__(self):
        check(self.count >= 1, "points.count", self.count, "1 or more")
        check(self.oversample >= 1, "points.oversample", self.oversample, "1 or more")
        check(0 <= self.share <= 1, "points.share", self.share, "between 0 and 1")

    @property
    def draws(self) -> int:
        """How many uniform points `choose` is given for a mask: candidates, then those that are taken as they are."""
        return self._candidates + self.count - self._chosen

    @property
    def _candidates(self) -> int:
        return int(self.count * self.oversample)

    @property
    def _chosen(self) -> int:
        return int(self.share * self.count)

    def choose(self, logits: Float[Tensor, "n h w"], uniform: Float[Tensor, "n c 2"]) -> Float[Tensor, "n p 2"]:
        """The points of each mask, from its logits and `draws` uniform points. No gradient."""
        candidates, plain = uniform.split([self._candidates, self.count - self._chosen], 1)
        with torch.no_grad():
            near = -read(logits, candidates).abs()
            best = near.topk(self._chosen, 1).indices  # (n, chosen)
        return torch.cat([candidates.gather(1, best[..., None].expand(-1, -1, 2)), plain], 1)


def read(maps: Float[Tensor, "n h w"], points: Float[Tensor, "n p 2"]) -> Float[Tensor, "n p"]:
    """Maps at points, bilinear between the centres of cells and falling to 0 beyond the outermost centres' half cell."""
    grid = 2 * points[:, None].to(maps.dtype) - 1
    return functional.grid_sample(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0, 0]

"""Multi-scale deformable attention: a query reads a few points of each map, at places and with weights it chooses.

Deformable DETR (arXiv 2010.04159, eq. 3); facts from facebookresearch/Mask2Former pixel_decoder/ops: places are the
query's own plus learned offsets in cells of each map, weights are one softmax over all maps and points of a head, values
between cells are bilinear and zero outside the map. Here in plain torch (`grid_sample`), without a kernel of its own.
Shapes: b batch, n queries, m cells of all maps, h heads, l maps, p points, d width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.models.init import ZEROS, Mark, linear, mark


@dataclass(frozen=True)
class Star:
    """Offsets that start as a star: each head looks into a direction of its own, point k at k + 1 cells."""

    heads: int
    maps: int
    points: int

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ray = torch.stack([angle.cos(), angle.sin()], -1)
        ray = ray / ray.abs().amax(-1, keepdim=True)  # (h, 2), on the border of a square
        reach = torch.arange(1, self.points + 1)[:, None]
        star = (ray[:, None, None] * reach).expand(self.heads, self.maps, self.points, 2)
        value.copy_(star.reshape(-1))


class DeformableAttention(nn.Module):
    """Queries (b, n, d) at `places` in [0, 1] read from the cells of all maps, laid one behind the other.

    width: d. heads divide it. maps: how many. points: a head and a map.
    """

    def __init__(self, width: int, heads: int, maps: int, points: int = 4):
        super().__init__()
        check(heads >= 1 and width % heads == 0, "heads", heads, f"a divisor of the width {width}")
        self.heads, self.maps, self.points = heads, maps, points
        count = heads * maps * points
        self.offsets = linear(width, 2 * count, law=ZEROS)
        mark(self.offsets, bias=Mark(Star(heads, maps, points), "vector"))
        self.weights = linear(width, count, law=ZEROS)
        self.value = linear(width, width)
        self.out = linear(width, width)

    def forward(
        self, q: Float[Tensor, "b n d"], cells: Float[Tensor, "b m d"], places: Float[Tensor, "n 2"],
        sizes: Sequence[tuple[int, int]],
    ) -> Float[Tensor, "b n d"]:  # fmt: skip
        """places: x and y of each query, 0 and 1 the borders of a map. sizes: (height, width) of each map."""
        b, n, _ = q.shape
        scale = torch.tensor([[w, h] for h, w in sizes], dtype=q.dtype, device=q.device)  # (l, 2)
        offsets = self.offsets(q).view(b, n, self.heads, self.maps, self.points, 2) / scale[:, None]
        where = places[:, None, None, None] + offsets  # (b, n, h, l, p, 2)
        weights = self.weights(q).view(b, n, self.heads, -1).softmax(-1).view(where.shape[:-1])
        values = self.value(cells).view(b, -1, self.heads, q.shape[-1] // self.heads)
        return self.out(sample_maps(values, sizes, where, weights))


def sample_maps(
    values: Float[Tensor, "b m h e"], sizes: Sequence[tuple[int, int]], where: Float[Tensor, "b n h l p 2"],
    weights: Float[Tensor, "b n h l p"],
) -> Float[Tensor, "b n d"]:  # fmt: skip
    """The weighted sum of values read at `where` (x, y in [0, 1]) in each map; heads are joined."""
    b, _, heads, e = values.shape
    grid = (2 * where - 1).transpose(1, 2).flatten(0, 1)  # (bh, n, l, p, 2)
    read = []
    for i, part in enumerate(values.split([h * w for h, w in sizes], 1)):
        image = part.permute(0, 2, 3, 1).reshape(b * heads, e, *sizes[i])
        read.append(functional.grid_sample(image, grid[:, :, i], mode="bilinear", align_corners=False))
    rows = weights.transpose(1, 2).flatten(0, 1).flatten(2)  # (bh, n, lp)
    out = (torch.stack(read, 3).flatten(3) * rows[:, None]).sum(-1)  # (bh, e, n)
    return out.view(b, heads * e, -1).transpose(1, 2)

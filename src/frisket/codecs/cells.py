"""From a region of the data to the cells of a coarser grid."""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from frisket.core.errors import FrisketError

POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def touched(region: Bool[Tensor, "b c *grid"], cells: tuple[int, ...]) -> Bool[Tensor, "b 1 *cells"]:
    """True where any part of a cell lies in the region. Raises `FrisketError` where the region's grid is no whole
    multiple of the cells'."""
    grid = tuple(region.shape[2:])
    factors = [g // max(c, 1) for g, c in zip(grid, cells, strict=False)]
    if len(grid) != len(cells) or any(c * f != g for c, f, g in zip(cells, factors, grid, strict=True)):
        raise FrisketError(f"a mask over {grid} does not divide into the state's grid {cells}")
    return POOLS[len(grid)](region.any(1, keepdim=True).float(), factors) > 0

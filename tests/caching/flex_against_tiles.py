"""Run as a script: FlexAttention (uncompiled, on a CPU) against the tile kernel; prints "equal" for each case."""

from __future__ import annotations

import warnings

import torch

from frisket.caching.tile_kernels import KERNELS
from frisket.caching.tiles import Tile

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    g = torch.Generator().manual_seed(0)
    for n, m, biased in ((32, 32, False), (24, 40, False), (24, 40, True)):
        q, k, v = (torch.randn(2, 2, size, 16, generator=g) for size in (n, m, m))
        tile = Tile(queries=16, keys=16)
        alive = torch.rand(2, 2, *tile.counts(n, m), generator=g) < 0.5
        alive[..., 0] = True
        bias = torch.randn(1, 2, n, m, generator=g) if biased else None
        flex, tiles = (KERNELS[name](q, k, v, alive, tile, bias) for name in ("flex", "tiles"))
        torch.testing.assert_close(flex, tiles, rtol=1e-4, atol=1e-5)
        print("equal")

"""Run as a script: FlexAttention (uncompiled, on a CPU) against SDPA for a few masks; prints "equal" for each."""

from __future__ import annotations

import warnings

import torch

from frisket.models.attend import attend
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import RelativeBias
from frisket.models.masks.dense import Dense
from frisket.models.masks.local import Window
from frisket.models.masks.tags import Segments, Streams
from frisket.models.tokens import Tags

B, H, D = 2, 3, 4
GRID = Grid.of((3, 4))
G = torch.Generator().manual_seed(0)
TAGS = Tags(
    n=GRID.tokens, coords=GRID.coords(), segment=torch.arange(GRID.tokens) % 3,
    stream=torch.randint(0, 2, (B, GRID.tokens), generator=G), valid=torch.rand(B, GRID.tokens, generator=G) > 0.2,
)  # fmt: skip
TABLE = torch.rand(GRID.tokens, GRID.tokens, generator=G) > 0.5
BIAS = build_real(lambda: RelativeBias(std=1.0).build(Sizes(width=H * D, heads=H, condition=8, grid=GRID)))
CASES = [
    (Window(radius=1.0) & ~Segments(), None),  # rows that look at nobody give zeros
    (Streams(pairs=((1, 0),), empty="all") & ~Dense(table=TABLE), None),  # rows that look at nobody look everywhere
    (Window(radius=1.0), BIAS),
]

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    q, k, v = (torch.randn(B, H, GRID.tokens, D, generator=G) for _ in range(3))
    for mask, positions in CASES:
        with torch.no_grad():
            flex, sdpa = (attend(q, k, v, TAGS, TAGS, mask, positions, kernel) for kernel in ("flex", "sdpa"))
        torch.testing.assert_close(flex, sdpa, rtol=1e-4, atol=1e-5)
        print("equal")

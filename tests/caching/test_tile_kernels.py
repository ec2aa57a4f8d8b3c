import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from frisket.caching.tile_kernels import KERNELS
from frisket.caching.tiles import Tile, attend_tiles


@pytest.mark.parametrize("name", ["tiles", "gathered"])
@pytest.mark.parametrize("biased", [False, True])
def test_kernels_agree(name, biased):
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, n, 16, generator=g) for n in (24, 40, 40))
    tile = Tile(queries=16, keys=16)
    alive = torch.rand(2, 2, 2, 3, generator=g) < 0.5
    alive[..., 0] = True
    bias = torch.randn(1, 2, 24, 40, generator=g) if biased else None
    if bias is not None:
        bias[..., 3] = -math.inf
    want = attend_tiles(q, k, v, alive, tile, bias).out
    torch.testing.assert_close(KERNELS[name](q, k, v, alive, tile, bias), want, atol=1e-6, rtol=1e-5)


def test_flex_agrees():
    """In a process of its own: FlexAttention traces the predicate, and the tests' shape checks cannot be traced."""
    script = Path(__file__).with_name("flex_against_tiles.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["equal"] * 3

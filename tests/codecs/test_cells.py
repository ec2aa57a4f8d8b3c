"""A region of the data on a coarser grid."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.codecs.cells import touched
from frisket.core import FrisketError


@given(st.integers(0, 2**31), st.sampled_from([(8,), (4, 8), (2, 4, 4)]))
def test_a_cell_is_touched_if_any_part_of_it_is(seed, grid):
    region = torch.rand(2, 3, *grid, generator=torch.Generator().manual_seed(seed)) < 0.1
    cells = tuple(g // 2 for g in grid)
    found = touched(region, cells)
    assert found.shape == (2, 1, *cells)
    back = found
    for axis in range(len(grid)):
        back = back.repeat_interleave(2, axis + 2)
    assert bool((back | ~region).all())
    assert int(found.sum()) <= int(region.sum())


@pytest.mark.parametrize("cells", [(3, 3), (8,), (16, 16), (4, 0)])
def test_grids_that_do_not_divide_are_refused(cells):
    with pytest.raises(FrisketError, match="does not divide"):
        touched(torch.zeros(1, 1, 8, 8, dtype=torch.bool), cells)

"""From a region of the data to the known part of a state, which may be coarser.

Shapes: data (b, c, *grid), state (b, c', *coarse) with the same number of axes, or of the data's own shape.
"""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from frisket.core.errors import FrisketError
from frisket.core.state import State, main
from frisket.processes.known import Known

POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def known_state(state: State, repaint: Bool[Tensor, "b ..."]) -> Known:
    """`state` with the cells known that hold nothing to repaint; of several entries, cells of "x", for the others belong
    to the whole. repaint: bool in the shape of the data.

    Raises `FrisketError` where the grid of the data is no whole multiple of the state's.
    """
    if not isinstance(state, Tensor):
        inner = Known.within(state, known_state(main(state), repaint))
        assert inner is not None
        return inner
    if state.shape == repaint.shape:
        return Known(values=state, where=~repaint)
    grid, ids = repaint.shape[2:], state.ndim == repaint.ndim - 1
    coarse = state.shape[1:] if ids else state.shape[2:]
    factors = [g // c for g, c in zip(grid, coarse, strict=False)]
    if len(grid) != len(coarse) or any(c * f != g for c, f, g in zip(coarse, factors, grid, strict=True)):
        raise FrisketError(f"a mask over {tuple(grid)} does not divide into the state's grid {tuple(coarse)}")
    touched = repaint.any(1, keepdim=True).float()
    hit = POOLS[len(grid)](touched, factors) > 0
    return Known(values=state, where=~(hit[:, 0] if ids else hit))

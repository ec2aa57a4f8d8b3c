"""From a region of the data to the known part of a state, which may be coarser.

Shapes: data (b, c, *grid); state (b, c', *coarse), ids (b, *coarse) or parts of ids (b, *coarse, m), with as many axes
of cells as the data has, or of the data's own shape. A codec whose states are none of these says itself which elements
a region touches: `touched(repaint)`, bool and broadcastable to the state.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool
from torch import Tensor

from frisket.codecs.cells import touched
from frisket.core.state import State, main
from frisket.processes.known import Known


def known_state(codec: Any, state: State, repaint: Bool[Tensor, "b ..."]) -> Known:
    """`state` with the cells known that hold nothing to repaint; of several entries, cells of "x", for the others belong
    to the whole. codec: the built one that made the state. repaint: bool in the shape of the data.

    Raises `FrisketError` where the grid of the data is no whole multiple of the state's.
    """
    if not isinstance(state, Tensor):
        inner = Known.within(state, known_state(codec, main(state), repaint))
        assert inner is not None
        return inner
    if hasattr(codec, "touched"):
        return Known(values=state, where=~codec.touched(repaint))
    if state.shape == repaint.shape:
        return Known(values=state, where=~repaint)
    if state.is_floating_point():
        return Known(values=state, where=~touched(repaint, tuple(state.shape[2:])))
    in_parts = state.ndim == repaint.ndim
    hit = touched(repaint, tuple(state.shape[1:-1] if in_parts else state.shape[1:]))[:, 0]
    return Known(values=state, where=~(hit[..., None] if in_parts else hit))

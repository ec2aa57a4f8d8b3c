import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.sampling.regions import known_state


def test_same_shape_is_the_complement():
    repaint = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    repaint[..., 1] = True
    assert torch.equal(known_state(torch.zeros(1, 3, 4, 4), repaint).where, ~repaint)


@given(y=st.integers(0, 7), x=st.integers(0, 7))
def test_a_coarse_cell_with_one_repainted_pixel_is_not_known(y, x):
    repaint = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    repaint[0, 1, y, x] = True
    for state in (torch.zeros(1, 5, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)):
        unknown = ~known_state(state, repaint).where.reshape(4, 4)
        assert unknown.nonzero().tolist() == [[y // 2, x // 2]]


def test_grids_that_do_not_divide():
    with pytest.raises(FrisketError, match="does not divide"):
        known_state(torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 8, 8, dtype=torch.bool))


def test_of_several_entries_the_cells_of_x_are_known():
    repaint = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    repaint[..., 4:] = True
    state = {"x": torch.zeros(1, 5, 4, 4), "cls": torch.ones(1, 6)}
    known = known_state(state, repaint)
    assert torch.equal(known.where["x"], known_state(state["x"], repaint).where)
    assert not known.where["cls"].any()
    assert torch.equal(known.values["cls"], state["cls"])

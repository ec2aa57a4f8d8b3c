import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.codecs.pyramid import Pyramid
from frisket.core import FrisketError
from frisket.sampling.regions import known_state


def test_same_shape_is_the_complement():
    repaint = torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    repaint[..., 1] = True
    assert torch.equal(known_state(None, torch.zeros(1, 3, 4, 4), repaint).where, ~repaint)


@given(y=st.integers(0, 7), x=st.integers(0, 7))
def test_a_coarse_cell_with_one_repainted_pixel_is_not_known(y, x):
    repaint = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    repaint[0, 1, y, x] = True
    for state in (torch.zeros(1, 5, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)):
        unknown = ~known_state(None, state, repaint).where.reshape(4, 4)
        assert unknown.nonzero().tolist() == [[y // 2, x // 2]]


@given(y=st.integers(0, 7), x=st.integers(0, 7))
def test_parts_of_a_cell_are_touched_together(y, x):
    repaint = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    repaint[0, 0, y, x] = True
    state = torch.zeros(1, 4, 4, 2, dtype=torch.int64)
    known = known_state(None, state, repaint)
    unknown = ~known.where.expand_as(state)
    assert unknown.nonzero()[:, 1:].tolist() == [[y // 2, x // 2, 0], [y // 2, x // 2, 1]]


@given(y=st.integers(0, 7), x=st.integers(0, 7))
def test_a_codec_may_say_itself_what_a_region_touches(y, x):
    codec, repaint = Pyramid(size=(1, 8, 8), shrink=(2, 1)).build(), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    repaint[0, 0, y, x] = True
    known = known_state(codec, codec.encode(torch.zeros(1, 1, 8, 8)), repaint)
    assert (~known.where)[0, 0].nonzero()[:, 0].tolist() == [y // 2 * 4 + x // 2, 16 + y * 8 + x]


def test_grids_that_do_not_divide():
    with pytest.raises(FrisketError, match="does not divide"):
        known_state(None, torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 8, 8, dtype=torch.bool))


def test_of_several_entries_the_cells_of_x_are_known():
    repaint = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    repaint[..., 4:] = True
    state = {"x": torch.zeros(1, 5, 4, 4), "cls": torch.ones(1, 6)}
    known = known_state(None, state, repaint)
    assert torch.equal(known.where["x"], known_state(None, state["x"], repaint).where)
    assert not known.where["cls"].any()
    assert torch.equal(known.values["cls"], state["cls"])

"""States of one or several entries: packing is exact and says what does not fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core.errors import FrisketError
from frisket.core.state import Layout, by_name, empty, main, moved, shape_of

STATE = {"x": torch.arange(12.0).reshape(2, 3, 2), "cls": torch.arange(100.0, 104.0).reshape(2, 2)}


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4), rows=st.integers(1, 3)
)
def test_packing_and_unpacking_are_inverse(sizes, rows):
    layout = Layout({f"e{i}": tuple(size) for i, size in enumerate(sizes)})
    state = {
        n: torch.randn(rows, *s, generator=torch.Generator().manual_seed(i))
        for i, (n, s) in enumerate(layout.shapes.items())
    }
    flat = layout.pack(state)
    assert flat.shape == (rows, layout.size)
    back = layout.unpack(flat)
    assert list(back) == list(state)
    assert all(torch.equal(back[n], state[n]) for n in state)
    assert torch.equal(layout.pack(back), flat)


def test_axes_of_size_one_are_spread():
    layout = Layout(shape_of(STATE))
    where = {"x": torch.tensor([[[True], [False], [True]]] * 2), "cls": torch.tensor([[False], [True]])}
    flat = layout.unpack(layout.pack(where))
    assert torch.equal(flat["x"], where["x"].expand(2, 3, 2))
    assert torch.equal(flat["cls"], torch.tensor([[False, False], [True, True]]))


def test_other_entries_are_refused():
    layout = Layout(shape_of(STATE))
    for wrong in (STATE["x"], {"x": STATE["x"]}, {**STATE, "cls": torch.zeros(2, 3)}, {**STATE, "cls": torch.zeros(2)}):
        with pytest.raises(FrisketError, match="entries|entry"):
            layout.pack(wrong)


def test_a_single_tensor_is_the_main_entry():
    x = STATE["x"]
    assert main(STATE) is x
    assert main(x) is x
    assert shape_of(x) == (3, 2)
    assert shape_of(STATE) == {"x": (3, 2), "cls": (2,)}
    assert by_name(lambda name, a, b: (name, a + b), 1, 2) == ("x", 3)
    assert by_name(lambda name, a, b: (name, a + b), {"a": 1, "b": 2}, {"b": 5, "a": 3}) == {
        "a": ("a", 4),
        "b": ("b", 7),
    }
    assert empty((3,), 2, dtype=torch.int64).shape == (2, 3)
    assert {n: v.shape for n, v in empty({"a": (3,)}, device="meta").items()} == {"a": (1, 3)}
    assert moved(STATE, "cpu")["cls"].equal(STATE["cls"])
    assert moved(x, "meta").is_meta

import pytest
import torch

from frisket.core import FrisketError
from frisket.processes import Known


def test_impose_and_rows():
    values = torch.arange(12.0).reshape(2, 3, 2)
    known = Known(values=values, where=torch.tensor([[[True, False]], [[False, True]]]))
    x = known.impose(torch.full((2, 3, 2), -1.0))
    assert torch.equal(x[0, :, 0], values[0, :, 0])
    assert (x[0, :, 1] == -1).all()
    assert torch.equal(known.rows(slice(1, 2)).values, values[1:])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(FrisketError, match=r"known\.where"):
        Known(values=torch.zeros(2, 3, 4), where=torch.zeros(2, 4, dtype=torch.bool))


def test_several_entries_are_known_by_name():
    state = {"x": torch.arange(6.0).reshape(2, 3), "cls": torch.ones(2, 2)}
    of_x = Known(values=state["x"], where=torch.tensor([[True, False, True]] * 2))
    known = Known.within(state, of_x)
    out = known.impose({"x": torch.full((2, 3), -1.0), "cls": torch.full((2, 2), -1.0)})
    assert out["x"].tolist() == [[0.0, -1.0, 2.0], [3.0, -1.0, 5.0]]
    assert (out["cls"] == -1).all()
    assert torch.equal(known.entry("x").where, of_x.where)
    assert known.rows(slice(0, 1)).to("cpu").values["cls"].shape == (1, 2)
    assert Known.within(state["x"], of_x) is of_x
    assert Known.within(state, None) is None
    for where in (of_x.where, {"x": of_x.where}, {"x": of_x.where, "cls": torch.zeros(2, 3, dtype=torch.bool)}):
        with pytest.raises(FrisketError, match=r"known\.where"):
            Known(values=state, where=where)

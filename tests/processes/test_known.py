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

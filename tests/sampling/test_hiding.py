import pytest
import torch

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.processes.schedules import Linear
from frisket.sampling.hiding import hidden_of, hidden_share, hide


def test_hide_and_find():
    process = Masked(vocabulary=3, schedule=Linear())
    x = torch.tensor([[0, 1, 2], [2, 1, 0]])
    where = torch.tensor([[True, False, False], [False, True, True]])
    assert torch.equal(hidden_of(process, hide(process, x, where)), where)
    assert hidden_share(process, torch.tensor([0.25])).tolist() == [0.25]


def test_gaussian_states_hide_nothing():
    with pytest.raises(FrisketError, match="solver"):
        hidden_of(Gaussian(), torch.zeros(1, 2))


def test_a_share_of_all_ids_is_not_known_where_each_symbol_has_its_own():
    with pytest.raises(FrisketError, match="outcomes"):
        hidden_share(MaskedBySymbol(vocabulary=3).build(), torch.tensor([0.25]))

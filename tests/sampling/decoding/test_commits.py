import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.sampling.decoding.commits import Lock, Remask


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_exact_step_stays_a_probability(share_t, ratio, cap):
    """With the rate of hiding again, the chance of a reveal must stay in [0, 1]."""
    t = torch.tensor([share_t], dtype=torch.float64)
    s = t * ratio
    rate = Remask(cap=cap).rate(t, s)
    assert 0.0 <= float(rate) <= cap
    reveal = (1 - s) - (1 - rate) * (1 - t)
    assert float(reveal) >= -1e-9
    assert float(reveal) <= float(t) + 1e-9


def test_nothing_is_hidden_again_at_the_end():
    assert Remask(cap=1.0).rate(torch.tensor([0.3]), torch.tensor([0.0])).tolist() == [0.0]


def test_lock():
    assert Lock().rate(torch.tensor([0.3]), torch.tensor([0.2])).tolist() == [0.0]


def test_range():
    with pytest.raises(FrisketError):
        Remask(cap=-0.1)

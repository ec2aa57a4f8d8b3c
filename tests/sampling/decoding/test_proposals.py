import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_fakes import steps

from frisket.core import FrisketError
from frisket.sampling.decoding.proposals import Categorical, Greedy, Gumbel, sharpen

P = torch.tensor([0.5, 0.3, 0.15, 0.05])


def frequencies(part, n=40_000):
    logits = P.log().expand(1, n, 4)
    return torch.bincount(part.propose(logits, steps(1))[0], minlength=4) / n


@pytest.mark.parametrize("kind", [Categorical, Gumbel])
def test_frequencies_are_the_probabilities(kind):
    torch.testing.assert_close(frequencies(kind()), P, rtol=0, atol=0.01)


@pytest.mark.parametrize("kind", [Categorical, Gumbel])
def test_temperature(kind):
    wanted = P**2 / (P**2).sum()
    torch.testing.assert_close(frequencies(kind(temperature=0.5)), wanted, rtol=0, atol=0.01)


@pytest.mark.parametrize("kind", [Categorical, Gumbel])
def test_top_p_keeps_the_smallest_set_that_reaches_it(kind):
    torch.testing.assert_close(frequencies(kind(top_p=0.7)), torch.tensor([5 / 8, 3 / 8, 0, 0]), rtol=0, atol=0.01)
    assert frequencies(kind(top_p=0.4)).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_greedy():
    assert frequencies(Greedy()).tolist() == [1.0, 0.0, 0.0, 0.0]


@given(st.floats(0.05, 3.0), st.floats(0.01, 1.0))
def test_sharpened_is_normalised_and_keeps_the_best(temperature, top_p):
    logits = torch.tensor([[[1.0, -2.0, 0.5, 3.0, 3.0]]])
    out = sharpen(logits, temperature, top_p)
    assert float(out.exp().sum()) == pytest.approx(1.0)
    assert int(out.argmax()) == 3


def test_impossible_ids_are_never_drawn():
    logits = torch.tensor([0.0, -1e6, -1e6]).expand(1, 5000, 3)
    assert not bool(Categorical().propose(logits, steps(1)).any())
    last = torch.tensor([-1e6, 0.0, -torch.inf]).expand(1, 5000, 3)
    assert bool((Categorical().propose(last, steps(1)) == 1).all())


def test_a_row_keeps_its_draws_in_any_batch():
    logits = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    for part in (Categorical(), Gumbel()):
        together = part.propose(logits, steps(4))
        assert torch.equal(together[2:3], part.propose(logits[2:3], steps(1, first=2)))


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_ranges(change):
    with pytest.raises(FrisketError, match="proposal"):
        Categorical(**change)

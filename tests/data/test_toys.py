import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, to_config
from frisket.data.toys import Markov, Pairs, Parity, Permutations

SMALL = [
    Pairs(vocabulary=3, groups=2, flip=0.2), Pairs(vocabulary=4), Pairs(vocabulary=2, flip=1.0), Permutations(length=4),
    Parity(size=3, groups=2), Markov(vocabulary=3, length=5), Markov(vocabulary=3, length=4, sharpness=0.0),
]  # fmt: skip


@pytest.mark.parametrize("toy", SMALL, ids=repr)
def test_the_entropy_is_that_of_the_full_enumeration(toy):
    every = torch.tensor(list(itertools.product(range(toy.vocabulary), repeat=toy.length)))
    p = torch.exp2(-toy.bits(every))
    assert p.sum().item() == pytest.approx(1)
    assert torch.special.entr(p).sum().item() / math.log(2) == pytest.approx(toy.entropy_bits)


@pytest.mark.parametrize("toy", SMALL, ids=repr)
def test_the_draws_follow_the_stated_law(toy):
    source, n = toy.open(), 20_000
    x = source.batch(torch.arange(n))["x"]
    assert x.shape == (n, toy.length)
    assert x.dtype == torch.int64
    rows, counts = x.unique(dim=0, return_counts=True)
    p = torch.exp2(-toy.bits(rows))
    assert torch.isfinite(toy.bits(rows)).all()
    assert p.sum() > 0.99
    z = (counts - n * p) / (n * p * (1 - p)).clamp(min=1e-9).sqrt()
    assert z[(p < 1) & (n * p > 20)].abs().max() < 5
    assert toy.bits(x).mean().item() == pytest.approx(toy.entropy_bits, abs=0.05)


@pytest.mark.parametrize("toy", SMALL, ids=repr)
def test_items_are_pure_functions_of_seed_split_and_index(toy):
    ids = torch.tensor([10**12, 3, 3, 0])
    whole, test = toy.open().batch(ids)["x"], toy.open("test").batch(torch.arange(64))["x"]
    assert torch.equal(whole[1:3], toy.open().batch(torch.tensor([3, 3]))["x"])
    assert not torch.equal(test, toy.open().batch(torch.arange(64))["x"])
    assert toy.open().info.extra["vocabulary"] == toy.vocabulary
    assert toy.open().info.shape == (toy.length,)
    assert from_config(to_config(toy)) == toy


def test_impossible_items_cost_infinitely_many_bits():
    assert Permutations(length=3).bits(torch.tensor([[0, 0, 2]])).isinf().all()
    assert Parity().bits(torch.tensor([[1, 0, 0]])).isinf().all()
    assert Pairs().bits(torch.tensor([[1, 2]])).isinf().all()
    assert Markov(length=2).bits(torch.tensor([[0, 8]])).isinf().all()


def test_parity_hides_nothing_in_a_proper_subset():
    x = Parity(size=3).open().batch(torch.arange(8000))["x"]
    for pair in itertools.combinations(range(3), 2):
        counts = (x[:, pair[0]] * 2 + x[:, pair[1]]).bincount(minlength=4)
        assert (counts - 2000).abs().max() < 5 * math.sqrt(1500)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0, 6), st.integers(0, 99))
def test_markov_starts_where_it_stays(k, sharpness, seed):
    chain = Markov(vocabulary=k, sharpness=sharpness, table_seed=seed)
    assert torch.allclose(chain.table.sum(1), torch.ones(k, dtype=torch.float64))
    assert torch.allclose(chain.stationary @ chain.table, chain.stationary, atol=1e-9)
    assert chain.stationary.min() > -1e-9
    assert chain.entropy_bits <= chain.length * math.log2(k) + 1e-6


@pytest.mark.parametrize("make", [
    lambda: Pairs(flip=1.5), lambda: Permutations(length=1), lambda: Parity(size=1), lambda: Markov(vocabulary=1),
])  # fmt: skip
def test_bad_sizes_are_refused(make):
    with pytest.raises(FrisketError):
        make()

"""Routers choose the best scored; balance is its weight at uniform load and more elsewhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.models.init import build_real
from frisket.models.layers.routers import BatchBalance, Renormalised, Routed, SampleBalance, Softmax

H = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
ALL = torch.ones(3, 5, dtype=torch.bool)


def routed(config, experts=4, active=2):
    return build_real(lambda: config.build(8, experts, active))(H)


def test_gates_are_the_softmax_of_the_best():
    found = routed(Softmax())
    torch.testing.assert_close(found.scores.sum(-1), torch.ones(3, 5))
    torch.testing.assert_close(found.gates, found.scores.gather(-1, found.ids))
    worst = found.scores.scatter(-1, found.ids, -1.0).amax(-1)
    assert (found.gates.amin(-1) >= worst).all()
    assert (found.gates.sum(-1) < 1).all()


def test_renormalised_gates_sum_to_one_in_the_same_proportion():
    plain, shares = routed(Softmax()), routed(Renormalised())
    torch.testing.assert_close(shares.gates.sum(-1), torch.ones(3, 5))
    assert shares.gates.shape == plain.gates.shape


@pytest.mark.parametrize("balance", [BatchBalance(weight=0.3), SampleBalance(weight=0.3)])
def test_a_uniform_load_costs_the_weight_and_one_for_all_costs_most(balance):
    ids = torch.arange(4).view(1, 2, 2)
    even = Routed(torch.full((1, 2, 4), 0.25), ids, torch.full((1, 2, 2), 0.25))
    valid = torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(balance.loss(even, valid), torch.tensor(0.3))
    one = Routed(torch.eye(4)[0].expand(1, 2, 4), torch.zeros(1, 2, 1, dtype=torch.int64), torch.ones(1, 2, 1))
    torch.testing.assert_close(balance.loss(one, valid), torch.tensor(1.2))


@settings(max_examples=20, deadline=None)
@given(experts=st.integers(2, 6), active=st.integers(1, 2))
def test_the_formula(experts, active):
    found = routed(Softmax(), experts, active)
    mean = found.scores.flatten(0, 1).mean(0)
    share = torch.bincount(found.ids.flatten(), minlength=experts) / found.ids.numel()
    wanted = 0.01 * experts * (mean * share).sum()
    torch.testing.assert_close(BatchBalance().loss(found, ALL), wanted)


def test_a_sample_balance_is_a_mean_over_samples_and_a_batch_balance_is_not():
    found = routed(Softmax())

    def of(balance, rows):
        part = Routed(found.scores[rows], found.ids[rows], found.gates[rows])
        return balance.loss(part, ALL[rows])

    pieces = [slice(0, 1), slice(1, 2), slice(2, 3)]
    for balance, equal in ((SampleBalance(), True), (BatchBalance(), False)):
        apart = torch.stack([of(balance, piece) for piece in pieces]).mean()
        assert torch.allclose(apart, of(balance, slice(0, 3)), rtol=1e-6) == equal


def test_tokens_that_are_not_valid_do_not_count():
    found = routed(Softmax())
    valid = ALL.clone()
    valid[:, 3:] = False
    short = Routed(found.scores[:, :3], found.ids[:, :3], found.gates[:, :3])
    for balance in (BatchBalance(), SampleBalance()):
        torch.testing.assert_close(balance.loss(found, valid), balance.loss(short, ALL[:, :3]))


def test_a_negative_weight_is_refused():
    for make in (BatchBalance, SampleBalance):
        with pytest.raises(FrisketError, match="weight"):
            make(weight=-1.0)

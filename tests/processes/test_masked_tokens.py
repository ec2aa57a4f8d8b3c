"""Masked continuous tokens: how many are hidden, what the head is asked, and the loss against the inner process's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.core.condition import Output
from frisket.core.nested import hidden_tokens, unpack
from frisket.core.step import Step
from frisket.processes.densities import Cosine, TruncatedNormal
from frisket.processes.known import Known
from frisket.processes.masked_tokens import Level, MaskedTokens

ONE = MaskedTokens(levels=(Level(tokens=10),), copies=2)
TWO = MaskedTokens(
    levels=(Level(tokens=4, name="coarse", weight=2.0), Level(tokens=6, name="fine", unit="level", share=Cosine())),
    copies=3,
)


def at(b=4, index=0):
    return Step(seed=0, sample=torch.arange(b), index=index)


def made(process, u=0.5, known=None, b=4, index=0):
    n = sum(level.tokens for level in process.levels)
    x0 = torch.randn(b, 3, n, generator=torch.Generator().manual_seed(1))
    t = torch.full((b,), u, dtype=torch.float64)
    return process.corrupt(x0, t, process.noise((3, n), at(b, index)), known)


@settings(max_examples=30, deadline=None)
@given(u=st.floats(0, 0.999))
def test_the_share_is_the_densitys_rounded_up_and_equal_in_all_rows(u):
    hidden = made(ONE, u).hidden
    wanted = torch.ceil(10 * TruncatedNormal().quantile(torch.tensor([u])) - 1e-9).item()
    assert hidden.sum(1).tolist() == [wanted] * 4
    assert 7 <= wanted <= 10


def test_a_later_levels_share_is_a_number_of_the_batch_not_of_t():
    counts = {tuple(made(TWO, 0.5, index=i).hidden[:, 4:].sum(1).tolist()) for i in range(12)}
    assert all(len(set(row)) == 1 for row in counts), "one number for the batch"
    assert len(counts) > 2, "another one in each step"


def test_tokens_by_themselves_are_noised_where_hidden_and_a_level_everywhere():
    c = made(TWO)
    noisy = unpack(c.x_t, 3).noisy
    asked = ~torch.isnan(noisy[..., 0])
    assert torch.equal(asked[:, 0, :4], c.hidden[:, :4])
    assert bool(asked[..., 4:].all())
    assert torch.equal(hidden_tokens(c.x_t[:, :3]), c.hidden)
    time = unpack(c.x_t, 3).time
    assert bool((time[..., 4:] == time[..., 4:5]).all()), "a level has one time"
    assert bool((time[..., 0] != time[..., 1]).any()), "tokens have their own"


def test_the_loss_is_the_inner_ones_over_hidden_tokens():
    c, d = made(TWO), 3
    pred = torch.randn(4, 3 * d, 10)
    terms = TWO.loss(Output(pred), c)
    assert set(terms) == {"coarse denoise", "fine denoise"}
    gap = torch.zeros(4)
    for k in range(3):
        u, noise = c.noise[:, 3 + 4 * k, :4], c.noise[:, 4 + 4 * k : 7 + 4 * k, :4]
        target = noise - c.x0[..., :4]  # the velocity of straight paths
        error = ((pred[:, 3 * k : 3 * k + 3, :4] - target) ** 2).mean(1)
        assert u.shape == (4, 4)
        gap += (error * c.hidden[:, :4]).sum(1) / c.hidden[:, :4].sum(1) / 3
    torch.testing.assert_close(terms["coarse denoise"], 2 * gap, rtol=1e-5, atol=1e-6)


def test_a_levels_error_counts_at_hidden_tokens_and_is_divided_by_all():
    c, pred = made(TWO), torch.randn(4, 9, 10)
    fine = TWO.loss(Output(pred), c)["fine denoise"]
    elsewhere = pred.clone()
    elsewhere[..., 4:] += torch.where(c.hidden[:, None, 4:], 0.0, 5.0)
    torch.testing.assert_close(TWO.loss(Output(elsewhere), c)["fine denoise"], fine)
    half = c.hidden[:, 4:].float().mean(1)
    whole = MaskedTokens(levels=(TWO.levels[0], Level(tokens=6, name="fine", share=Cosine())), copies=3)
    assert bool((half < 1).all())
    noise = c.noise.clone()
    for k in range(3):  # equal times for all tokens, so that only the mean differs
        noise[:, 3 + 4 * k, 4:] = noise[:, 3 + 4 * k, 4:5]
    same = whole.corrupt(c.x0, c.t, noise)
    torch.testing.assert_close(whole.loss(Output(pred), same)["fine denoise"] * half, fine, rtol=1e-5, atol=1e-6)


def test_known_tokens_are_never_hidden_and_the_prior_is_all_hidden():
    where = torch.zeros(4, 1, 10, dtype=torch.bool)
    where[..., :3] = True
    c = made(ONE, 0.999, Known(values=torch.zeros(4, 3, 10), where=where))
    assert not bool(c.hidden[:, :3].any())
    assert bool(c.hidden[:, 3:].all())
    prior = ONE.prior(ONE.noise((3, 10), at()))
    assert prior.shape == (4, 3, 10)
    assert bool(hidden_tokens(prior).all())


def test_hiding_again_only_adds():
    x = torch.zeros(4, 3, 10)
    t, s = torch.zeros(4), torch.full((4,), 0.5)
    again = ONE.renoise(x, t, s, ONE.noise((3, 10), at()))
    assert 5 < int(hidden_tokens(again).sum()) < 35
    assert bool(hidden_tokens(ONE.renoise(again, s, torch.ones(4), ONE.noise((3, 10), at()))).all())


def test_what_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="shape of the state"):
        ONE.corrupt(torch.zeros(4, 3, 9), torch.ones(4), torch.zeros(4, 9, 9))
    with pytest.raises(FrisketError, match="decoder/tokens"):
        ONE.estimate(Output(torch.zeros(1)), torch.zeros(1), torch.zeros(1))
    with pytest.raises(FrisketError, match="different names"):
        MaskedTokens(levels=(Level(), Level()))
    for bad in ({"tokens": 0}, {"unit": "row"}, {"weight": -1.0}):
        with pytest.raises(FrisketError, match="level"):
            Level(**bad)

"""Emissions: official values, and what is a bound and what is not, by enumeration."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from frisket.core import FrisketError, Output, Step
from frisket.core.digits import digits_of
from frisket.interop.prime import functions_difference
from frisket.processes import Masked
from frisket.processes.emissions import (
    Categorical,
    Consistent,
    Digits,
    JointDigits,
    Unfiltered,
    code_table,
    marginals,
)
from frisket.processes.schedules import Linear
from frisket.testing import check_config

GEN = torch.Generator().manual_seed(0)
BASE, COUNT, SYMBOLS, TOKENS = 3, 2, 7, 2
LAW = torch.rand(SYMBOLS, SYMBOLS, generator=GEN, dtype=torch.float64)
LAW = LAW / LAW.sum()
PAIRS = torch.cartesian_prod(torch.arange(SYMBOLS), torch.arange(SYMBOLS))
STATES = digits_of(PAIRS, BASE, COUNT)  # (49, 2, 2)


def masked(emission):
    return Masked(vocabulary=BASE, schedule=Linear(), emission=emission)


def true_conditionals(x_t):
    """log p of each token given the visible digits of both, (b, 2, 7)."""
    fits = ((x_t[:, None] == BASE) | (x_t[:, None] == STATES)).all(-1).all(-1)  # (b, 49)
    joint = torch.where(fits, LAW.flatten(), 0.0).reshape(-1, SYMBOLS, SYMBOLS)
    return torch.stack([joint.sum(2), joint.sum(1)], 1).clamp(min=1e-300).log()


def bound(process, model):
    """The bound's mean over the data, exactly: over every set of hidden digits."""
    n, total = TOKENS * COUNT, 0.0
    for pattern in product((False, True), repeat=n):
        if any(pattern):
            hidden = torch.tensor(pattern).reshape(TOKENS, COUNT).expand(len(STATES), -1, -1)
            x_t = process.hide(STATES, hidden)
            nats = process.emission.nats(model(x_t), x_t, STATES, hidden, BASE).double().flatten(1).sum(1)
            count = sum(pattern)
            total += float((nats * LAW.flatten()).sum()) / (count * math.comb(n, count))
    return total


def joint_loss(process, model):
    """The mean over t and the data of the loss that is trained, in nats an item, exactly up to the sum over t."""
    n, total = TOKENS * COUNT, 0.0
    t, weights = _gauss()
    for pattern in product((False, True), repeat=n):
        hidden = torch.tensor(pattern).reshape(TOKENS, COUNT).expand(len(STATES), -1, -1)
        x_t = process.hide(STATES, hidden)
        nats = process.emission.trained(model(x_t), x_t, STATES, hidden, BASE).double().sum((1, 2)) / COUNT
        chance = (weights * t ** (sum(pattern) - 1) * (1 - t) ** (n - sum(pattern))).sum() if any(pattern) else 0.0
        total += float((nats * LAW.flatten()).sum() * chance)
    return total


def _gauss():
    x, w = np.polynomial.legendre.leggauss(20)
    return torch.from_numpy((x + 1) / 2), torch.from_numpy(w / 2)


ENTROPY = float(-(LAW * LAW.log()).sum())


@pytest.mark.parametrize("emission", [Categorical(), Digits(symbols=7), JointDigits(symbols=7, spelling=Unfiltered())])
def test_they_are_values(emission):
    check_config(emission)


def test_official_codes_filter_and_loss():
    assert functions_difference() < 1e-5


@pytest.mark.parametrize("emission", [Digits(symbols=SYMBOLS), JointDigits(symbols=SYMBOLS)])
def test_the_bound_of_the_true_conditionals_is_the_entropy(emission):
    assert bound(masked(emission), true_conditionals) == pytest.approx(ENTROPY, abs=1e-5)


@pytest.mark.parametrize("spelling", [Consistent(), Unfiltered()])
def test_the_bound_of_any_other_network_is_above_the_entropy(spelling):
    table = torch.randn(BASE + 1, BASE + 1, SYMBOLS, generator=GEN)
    process = masked(JointDigits(symbols=SYMBOLS, spelling=spelling))
    found = bound(process, lambda x_t: table[x_t[..., 0], x_t[..., 1]])
    assert found > ENTROPY + 0.05


def test_the_released_loss_lies_below_the_entropy_so_it_is_no_bound():
    process = masked(JointDigits(symbols=SYMBOLS))
    assert joint_loss(process, true_conditionals) < ENTROPY - 0.1
    marginal = masked(Digits(symbols=SYMBOLS))
    # trained on the marginals, the loss is the bound (per symbol, so times the digits of one)
    assert joint_loss(marginal, true_conditionals) * COUNT == pytest.approx(ENTROPY, abs=1e-5)


def test_one_symbol_of_two_equal_digits():
    """Entropy log 2: the marginal form says so, the joint one says half of it."""
    process = masked(JointDigits(symbols=5))
    x0 = torch.tensor([[[0, 0]], [[1, 1]]])

    def model(x_t):
        return torch.tensor([0.0, -60, -60, -60, 0.0]).expand(*x_t.shape[:-1], 5)

    step = Step(seed=0, sample=torch.arange(2))
    nats = process.nelbo(lambda x, t: Output(model(x)), x0, step, 2)
    # 0 -> (0, 0) and 4 -> (1, 1) are the only likely symbols; a visible digit rules the other out
    assert nats.mean() == pytest.approx(math.log(2), abs=1e-5)
    t, weights = _gauss()
    both = process.hide(x0, torch.ones_like(x0, dtype=torch.bool))
    one = process.emission.trained(model(both), both, x0, both == BASE, BASE).double()
    assert float((weights * t).sum() * one.mean()) == pytest.approx(math.log(2) / 2, abs=1e-5)


def test_one_digit_is_the_plain_process():
    logits = torch.randn(4, 6, 5, generator=GEN)
    x0 = torch.randint(0, 5, (4, 6), generator=GEN)
    t, noise = torch.tensor([0.2, 0.5, 0.8, 1.0]), torch.rand(4, 6, generator=GEN)
    plain = Masked(vocabulary=5, schedule=Linear())
    c = plain.corrupt(x0, t, noise)
    for emission in (Digits(symbols=5), JointDigits(symbols=5)):
        digits = Masked(vocabulary=5, schedule=Linear(), emission=emission)
        d = digits.corrupt(x0[..., None], t, noise[..., None])
        gap = digits.loss(Output(logits), d)["denoise"] - plain.loss(Output(logits), c)["denoise"]
        assert gap.abs().max() < 1e-5
        ours = digits.estimate(Output(logits), d.x_t, t).logits[..., 0, :]
        assert torch.allclose(ours.exp(), plain.estimate(Output(logits), c.x_t, t).logits.exp(), atol=1e-6)


def test_marginals_are_sums_over_symbols_and_visible_digits_are_certain():
    joint = torch.log_softmax(torch.randn(3, SYMBOLS, generator=GEN), -1)
    codes = code_table(SYMBOLS, BASE, COUNT)
    for digit in range(COUNT):
        for value in range(BASE):
            wanted = joint.exp()[:, codes[:, digit] == value].sum(-1)
            assert torch.allclose(marginals(joint, BASE, COUNT)[:, digit, value].exp(), wanted, atol=1e-6)
    x_t = torch.tensor([[[1, BASE], [BASE, BASE]]])
    estimate = masked(JointDigits(symbols=SYMBOLS)).estimate(
        Output(torch.randn(1, 2, SYMBOLS, generator=GEN)), x_t, torch.tensor([0.5])
    )
    assert torch.allclose(estimate.logits.exp().sum(-1), torch.ones(1, 2, 2), atol=1e-5)
    assert estimate.logits[0, 0, 0, 1] == 0
    assert estimate.joint[0, 0].exp()[codes[:, 0] != 1].sum() == 0
    assert torch.isfinite(estimate.logits).all()


def test_gradients_are_finite_where_symbols_are_ruled_out():
    logits = torch.randn(2, TOKENS, SYMBOLS, generator=GEN, requires_grad=True)
    process = masked(Digits(symbols=SYMBOLS))
    c = process.corrupt(STATES[:2], torch.tensor([0.4, 0.9]), torch.rand(2, TOKENS, COUNT, generator=GEN))
    process.loss(Output(logits), c)["denoise"].sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_symbols_drawn_together_are_spelled():
    process = masked(JointDigits(symbols=SYMBOLS))
    assert torch.equal(process.spelled(PAIRS, (TOKENS, COUNT)), STATES)


def test_codecs_and_emissions_must_agree():
    with pytest.raises(FrisketError, match="digits"):
        Masked().fit(3, 7)
    with pytest.raises(FrisketError, match="spells"):
        Masked(emission=Digits()).fit(3)
    with pytest.raises(FrisketError, match="symbols"):
        Masked(vocabulary=3, emission=Digits()).outputs(3)
    with pytest.raises(FrisketError, match="do not fit"):
        masked(Digits(symbols=7)).estimate(Output(torch.zeros(1, 2, 6)), torch.zeros(1, 2, 2).long(), torch.ones(1))
    assert Masked(emission=Digits()).fit(3, 7).outputs(3) == 7

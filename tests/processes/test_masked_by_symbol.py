"""A schedule for each symbol: official values, the bound by enumeration, the gradient that two noisings give."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from frisket.core import FrisketError, Output, Step
from frisket.interop.md4 import losses_difference
from frisket.processes import Known, Masked
from frisket.processes.base import Corrupted, config_of
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.processes.schedules import Polynomial
from frisket.testing import check_config, check_process

GEN = torch.Generator().manual_seed(0)
K, N = 3, 2
LAW = torch.tensor([[0.4, 0.05, 0.05], [0.02, 0.2, 0.08], [0.1, 0.06, 0.04]], dtype=torch.float64)
STATES = torch.cartesian_prod(torch.arange(K), torch.arange(K))
ENTROPY = float(-(LAW * LAW.log()).sum())
POWERS = torch.tensor([0.6, 1.0, 2.3], dtype=torch.float64)
TABLE = torch.randn(K + 1, K + 1, N, K, generator=GEN)


def built(powers=POWERS, **facts):
    process = MaskedBySymbol(vocabulary=len(powers), **facts).build()
    with torch.no_grad():
        process.theta.copy_(torch.log(torch.expm1(powers)))
    return process


def true_conditionals(x_t, t):
    """log p of each element given what is visible and that the rest is hidden at t: it depends on the powers."""
    fits = ((x_t[:, None] == K) | (x_t[:, None] == STATES)).all(-1)  # (b, 9)
    hidden = (x_t == K)[:, None] & fits[..., None]
    chance = torch.where(hidden, t[:, None, None] ** POWERS[STATES], 1.0).prod(-1)
    joint = (torch.where(fits, LAW.flatten(), 0.0) * chance).reshape(-1, K, K)
    return torch.stack([joint.sum(2), joint.sum(1)], 1).clamp(min=1e-300).log()


def table(x_t, t):
    return TABLE[x_t[:, 0], x_t[:, 1]]


def integral(process, model):
    """The bound for each of the nine states, by quadrature over t = r^4 and every set of hidden elements."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = torch.zeros(len(STATES), dtype=torch.float64)
    for r, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        t = torch.full((len(STATES),), r**4, dtype=torch.float64)
        for pattern in product((False, True), repeat=N):
            c = state(process, STATES, t, torch.tensor(pattern).expand(len(STATES), N))
            loss = process.loss(Output(model(c.x_t, t)), c)["denoise"].double() * N
            total += weight * 4 * r**3 * process.log_chance(c).exp().detach() * loss.detach()
    return total


def state(process, x0, t, hidden):
    x_t = process.hide(x0, hidden)
    return Corrupted(x_t=x_t, x0=x0, noise=torch.zeros(x0.shape), t=t, local=t, hidden=hidden)


def test_it_is_a_process_with_a_config():
    check_config(MaskedBySymbol(vocabulary=7))
    check_process(built(torch.linspace(0.3, 3, 7, dtype=torch.float64)), shape=(9,), vocabulary=7)
    assert config_of(built()) == MaskedBySymbol(vocabulary=K)


def test_official_losses_and_gradients():
    assert losses_difference() < 1e-5


def test_equal_powers_are_a_polynomial_schedule():
    power = 1.7
    ours, theirs = (
        MaskedBySymbol(vocabulary=6, power=power).build(),
        Masked(vocabulary=6, schedule=Polynomial(power=power)),
    )
    assert torch.allclose(ours(), torch.full((6,), power, dtype=torch.float64), atol=1e-6)
    x0, noise = torch.randint(0, 6, (4, 9), generator=GEN), torch.rand(4, 9, generator=GEN)
    t = torch.tensor([0.2, 0.5, 0.8, 0.99])
    c, d = ours.corrupt(x0, t, noise), theirs.corrupt(x0, t, noise)
    assert torch.equal(c.x_t, d.x_t)
    pred = Output(torch.randn(4, 9, 6, generator=GEN))
    assert torch.allclose(ours.loss(pred, c)["denoise"], theirs.loss(pred, d)["denoise"], rtol=1e-5)
    s = t * 0.4
    assert torch.allclose(ours.reveal_chance(t, s), theirs.reveal_chance(t, s)[:, None].expand(4, 6), atol=1e-6)
    assert torch.equal(ours.renoise(c.x_t, s, t, noise), theirs.renoise(c.x_t, s, t, noise))


def test_the_integral_with_the_true_conditionals_is_the_entropy():
    found = float((integral(built(), true_conditionals) * LAW.flatten()).sum())
    assert found == pytest.approx(ENTROPY, abs=2e-4)


def test_the_integral_with_another_network_is_above_the_entropy():
    assert float((integral(built(), table) * LAW.flatten()).sum()) > ENTROPY + 0.1
    # the conditionals of another schedule are another network, too
    other = built(torch.tensor([2.0, 0.7, 1.0], dtype=torch.float64))
    assert float((integral(other, true_conditionals) * LAW.flatten()).sum()) > ENTROPY + 0.01


@pytest.mark.parametrize("model", [true_conditionals, table])
def test_nelbo_estimates_the_integral(model):
    process, reps = built(), 600
    ids = STATES.repeat(reps, 1)
    step = Step(seed=5, sample=torch.arange(len(ids)))
    found = process.nelbo(lambda x, t: Output(model(x, t)), ids, step, 3).reshape(reps, -1)
    error = found.std(0) / math.sqrt(reps)
    assert ((found.mean(0) - integral(process, model)).abs() < 4 * error + 1e-3).all()


@pytest.mark.parametrize("draws", [1, 4])
def test_nelbo_of_a_uniform_network_with_equal_powers_is_exact(draws):
    process = MaskedBySymbol(vocabulary=5, power=0.8).build()
    ids = torch.randint(0, 5, (4, 9), generator=GEN)
    known = Known(values=ids, where=torch.arange(9).expand(4, 9) < 2)
    valid = torch.arange(9).expand(4, 9) < 8
    step = Step(seed=1, sample=torch.arange(4))

    def predict(x, t):
        assert torch.equal(x[:, :2], ids[:, :2])
        assert (x[:, 8] != 5).all()
        return Output(torch.zeros(*x.shape, 5))

    nats = process.nelbo(predict, ids, step, draws, known, valid)
    assert torch.allclose(nats, torch.full((4,), 6 * math.log(5), dtype=torch.float64), atol=1e-6)


def expected_loss(process, t):
    """Mean of the loss over what is hidden, differentiable in every way: the powers weigh and choose."""
    total = 0.0
    for pattern in product((False, True), repeat=N):
        c = state(process, STATES, t, torch.tensor(pattern).expand(len(STATES), N))
        total = total + process.log_chance(c).exp() * process.loss(Output(table(c.x_t, t)), c)["denoise"].double()
    return total.sum()


def test_two_noisings_give_the_gradient_of_the_expected_loss():
    """By enumeration of all pairs; without the second noising the gradient is another."""
    process = built()
    t = torch.linspace(0.1, 0.95, len(STATES), dtype=torch.float64)
    (wanted,) = torch.autograd.grad(expected_loss(process, t), process.theta)
    surrogate, plain = 0.0, 0.0
    patterns = [torch.tensor(p).expand(len(STATES), N) for p in product((False, True), repeat=N)]
    states = [state(process, STATES, t, hidden) for hidden in patterns]
    losses = [process.loss(Output(table(c.x_t, t)), c)["denoise"].double() for c in states]
    chances = [process.log_chance(c) for c in states]
    for i, j in product(range(len(states)), repeat=2):
        weight = (chances[i] + chances[j]).exp().detach()
        score = 0.5 * (losses[i] - losses[j]).detach() * (chances[i] - chances[j])
        surrogate = surrogate + (weight * ((losses[i] + losses[j]) / 2 + score)).sum()
        plain = plain + (weight * (losses[i] + losses[j]) / 2).sum()
    (found,) = torch.autograd.grad(surrogate, process.theta, retain_graph=True)
    (without,) = torch.autograd.grad(plain, process.theta)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (without - wanted).abs().max() > 0.05


def test_the_chance_of_a_noising_sums_to_one_and_leaves_out_what_is_known():
    process = built()
    t = torch.full((len(STATES),), 0.3, dtype=torch.float64)
    each = [state(process, STATES, t, torch.tensor(p).expand(len(STATES), N)) for p in product((False, True), repeat=N)]
    assert torch.allclose(sum(process.log_chance(c).exp() for c in each), torch.ones(9, dtype=torch.float64))
    where = torch.tensor([True, False]).expand(9, N)
    c = process.corrupt(STATES, t, torch.zeros(9, N), Known(values=STATES, where=where))
    assert torch.allclose(process.log_chance(c).exp(), 0.3 ** POWERS[STATES[:, 1]])


def test_the_share_hidden_is_each_symbols_own():
    process = built(first=1e-2)
    lattice = ((torch.arange(500) + 0.5) / 500).expand(1, 500)
    for symbol, power in enumerate(POWERS.tolist()):
        ids = torch.full((1, 500), symbol)
        share = process.corrupt(ids, torch.tensor([0.4]), lattice).hidden.double().mean()
        assert float(share) == pytest.approx(0.4**power, abs=2e-3)
        back = 0.4**power * (1 - float(process.reveal_chance(torch.tensor([0.4]), torch.tensor([0.1]))[0, symbol]))
        assert back == pytest.approx(0.1**power, abs=1e-6)
    u = torch.tensor([0.0, 0.5, 0.999])
    assert process.times(u).min() == pytest.approx(1e-2)


def test_bad_configs_are_refused():
    with pytest.raises(FrisketError, match="power"):
        MaskedBySymbol(power=0.0)
    with pytest.raises(FrisketError, match="first"):
        MaskedBySymbol(first=0.0)
    with pytest.raises(FrisketError, match="vocabulary"):
        MaskedBySymbol().build()

import itertools

import pytest
import torch
from sampling_fakes import Joint

from frisket.core import FrisketError, Step
from frisket.evaluation.orderings import order_nats
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear

PROCESS = Masked(vocabulary=3, schedule=Linear())


class Wrong(Joint):
    """Conditionals that belong to no joint distribution, as those of a trained network."""

    def __call__(self, x, t, cond=None):
        out = super().__call__(x, t, cond)
        shift = torch.cos(torch.arange(9.0).reshape(3, 3) + (x == 3).sum(-1)[:, None, None])
        out.pred = out.pred.clamp(min=-5) + shift
        return out


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_a_distribution(order):
    model = Wrong(PROCESS)
    nats = order_nats(model, PROCESS, model.states, torch.tensor([order]).expand(27, 3))
    assert float((-nats.sum(1)).exp().sum()) == pytest.approx(1.0, abs=1e-6)


def test_exact_conditionals_have_the_joints_likelihood_in_any_order():
    model = Joint(PROCESS)
    for order in ORDERS:
        nats = order_nats(model, PROCESS, model.states, torch.tensor([order]).expand(27, 3))
        torch.testing.assert_close(nats.sum(1), -model.p.log(), rtol=1e-5, atol=1e-5)


def test_the_mean_over_orders_is_the_bound_of_the_masked_process():
    model = Wrong(PROCESS)
    x = model.states[:9]
    mean = torch.stack(
        [order_nats(model, PROCESS, x, torch.tensor([o]).expand(9, 3)).sum(1) for o in ORDERS]
    ).mean(0)  # fmt: skip
    rows = x.repeat_interleave(400, 0)
    step = Step(seed=0, sample=torch.arange(len(rows)))
    bound = PROCESS.nelbo(model, rows, step, draws=3).unflatten(0, (9, 400)).mean(1)
    torch.testing.assert_close(bound, mean, rtol=0.05, atol=0.05)


def test_orders_differ_where_conditionals_are_no_joints():
    model = Wrong(PROCESS)
    x = model.states[5:6]
    sums = {round(float(order_nats(model, PROCESS, x, torch.tensor([o])).sum()), 6) for o in ORDERS}
    assert len(sums) > 1


def test_what_is_no_permutation_is_refused():
    model = Joint(PROCESS)
    with pytest.raises(FrisketError, match="permutations"):
        order_nats(model, PROCESS, model.states[:1], torch.tensor([[0, 0, 1]]))
    with pytest.raises(FrisketError, match="shape"):
        order_nats(model, PROCESS, model.states[:1], torch.tensor([[1, 0]]))

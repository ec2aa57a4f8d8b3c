import itertools

import pytest
import torch
from sampling_fakes import Joint, steps
from torch import nn

from frisket.core import FrisketError
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.base import Start
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.learned import Chance, Learned
from frisket.sampling.decoding.orders import Confidence
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.decoding.selects import Threshold
from frisket.sampling.sampler import Sampler

PROCESS = Masked(vocabulary=3, schedule=Linear())


class Rule(nn.Module):
    """A policy by formula."""

    def __init__(self, formula):
        super().__init__()
        self.formula, self.seen = formula, []

    def forward(self, confidence, hidden):
        self.seen.append((confidence, hidden))
        return self.formula(confidence)


def model(formula, n=4):
    joint = Joint(PROCESS, n=n)
    joint.policy = Rule(formula)  # type: ignore[attr-defined]
    return joint


def run(formula, temperature=1.0, n=4, rows=40, **inputs):
    update = Ordered(proposal=Greedy(), orders=(Learned(),), select=Chance(temperature=temperature))
    sampler = Sampler(steps=n, update=update)
    return list(sampler.run(model(formula, n), PROCESS, shape=(n,), step=steps(rows), **inputs))


@pytest.mark.parametrize("at", [0.4, 0.6, 0.9])
def test_a_steep_policy_is_the_threshold_sampler(at):
    update = Ordered(proposal=Greedy(), orders=(Confidence(),), select=Threshold(threshold=at))
    plain = Sampler(steps=4, update=update).run(Joint(PROCESS, n=4), PROCESS, shape=(4,), step=steps(40))
    for learned, threshold in zip(run(lambda c: 50 * (c - at), temperature=0.0), plain, strict=True):
        assert torch.equal(learned.x, threshold.x)
        assert learned.rows == threshold.rows


def test_a_certain_policy_takes_one_forward_and_a_shy_one_a_forward_a_place():
    assert run(lambda c: torch.full_like(c, 60.0))[-1].forwards == 40
    shy = run(lambda c: torch.full_like(c, -60.0) + c)
    assert shy[-1].forwards == 4 * 40
    assert [int((s.x[0] == 3).sum()) for s in shy] == [4, 3, 2, 1, 0]


def test_every_forward_reveals_something_and_the_visible_stays():
    shots = run(lambda c: torch.zeros_like(c))
    for before, after in itertools.pairwise(shots):
        hidden = (before.x == 3).any(1)
        assert bool(((before.x == 3).sum(1) > (after.x == 3).sum(1))[hidden].all())
        assert torch.equal(before.x[before.x < 3], after.x[before.x < 3])
    assert int((shots[-1].x == 3).sum()) == 0


def test_the_policy_sees_only_how_sure_the_model_is_and_what_is_hidden():
    x = torch.tensor([[0, 3, 3, 3], [1, 3, 3, 3]])
    held = model(lambda c: torch.zeros_like(c))
    update = Ordered(proposal=Greedy(), orders=(Learned(),), select=Chance())
    list(Sampler(steps=4, update=update).run(held, PROCESS, shape=(4,), step=steps(2), start=Start(x=x, t=1.0)))
    confidence, hidden = held.policy.seen[0]
    assert hidden.tolist() == [[False, True, True, True]] * 2
    p = held(x, torch.zeros(2)).pred.exp().amax(-1)
    torch.testing.assert_close(confidence, p.where(hidden, torch.ones_like(p)), rtol=0, atol=1e-6)


def test_chances_are_those_of_the_scores():
    n = 8000
    now = torch.ones(n, 3, dtype=torch.bool)
    scores = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64).expand(n, 3)
    for temperature in (0.5, 1.0):
        fell = Chance(temperature=temperature).fallen(now, scores, steps(n)).double().mean(0)
        torch.testing.assert_close(fell, torch.sigmoid(scores[0] / temperature), rtol=0, atol=0.02)


def test_refusals():
    with pytest.raises(FrisketError, match="temperature"):
        Chance(temperature=-0.1)
    update = Ordered(orders=(Learned(),), select=Chance())
    with pytest.raises(FrisketError, match="no reveal policy"):
        Sampler(steps=2, update=update).sample(Joint(PROCESS), PROCESS, shape=(3,), step=steps(1))

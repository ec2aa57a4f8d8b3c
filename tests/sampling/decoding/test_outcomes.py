import pytest
import torch

from frisket.core import FrisketError, Output, Step
from frisket.processes.masked import Masked
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.processes.schedules import Linear
from frisket.sampling.base import Moment
from frisket.sampling.decoding.outcomes import Outcomes
from frisket.sampling.sampler import Sampler
from frisket.testing import check_config, check_update

MANY = 4000
STEP = Step(seed=2, sample=torch.arange(MANY))
P = torch.tensor([0.5, 0.3, 0.2])
POWERS = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


PLAIN = Outcomes()


def learnt():
    process = MaskedBySymbol(vocabulary=3).build()
    with torch.no_grad():
        process.theta.copy_(torch.log(torch.expm1(POWERS)))
    return process


def moved(process, t, s, update=PLAIN):
    x = torch.full((MANY, 1), 3)
    times = [torch.full((MANY,), v, dtype=torch.float64) for v in (t, s)]

    def evaluate(x, t, rows=None, keep=None):
        return process.estimate(Output(P.log().expand(len(x), 1, 3)), x, t)

    evaluate.last = None
    return update.move(x, *times, Moment(process=process, evaluate=evaluate, step=STEP))[:, 0]


def test_it_is_a_decoder():
    check_config(Outcomes(top_p=0.98))
    check_update(Outcomes(), vocabulary=5)


def test_what_is_revealed_and_what_it_is_have_the_joint_law():
    out = torch.bincount(moved(learnt(), 0.8, 0.5), minlength=4) / MANY
    reveal = P * (1 - (0.5 / 0.8) ** POWERS)
    wanted = torch.cat([reveal, 1 - reveal.sum(0, keepdim=True)])
    assert (out - wanted).abs().max() < 0.03
    plain = torch.bincount(moved(Masked(vocabulary=3, schedule=Linear()), 0.8, 0.5), minlength=4) / MANY
    assert (plain - torch.cat([P * 0.375, torch.tensor([0.625])])).abs().max() < 0.03


def test_at_the_end_nothing_is_hidden_and_small_sets_are_kept():
    out = moved(learnt(), 0.4, 0.0)
    assert (torch.bincount(out, minlength=3) / MANY - P).abs().max() < 0.03
    assert set(moved(learnt(), 0.4, 0.0, Outcomes(top_p=0.6)).tolist()) == {0, 1}


def test_samples_of_the_true_conditionals_have_the_true_law():
    """One symbol: seen hidden at t, v has the chance p_v t^w_v; in 4 coarse moves the law still is p."""
    process = learnt()

    def model(x, t, cond=None):
        return Output((P.log() + POWERS * t.clamp(min=1e-9).log()[:, None, None]).expand(len(x), 1, 3).float())

    out = Sampler(steps=4, update=Outcomes()).sample(model, process, shape=(1,), step=STEP)
    assert (torch.bincount(out[:, 0], minlength=3) / MANY - P).abs().max() < 0.03


def test_processes_without_such_a_chance_are_refused():
    class Bare:
        mask_id = 3

        def hide(self, x, where):
            return x

    at = Moment(process=Bare(), evaluate=None, step=STEP)  # type: ignore[arg-type]
    with pytest.raises(FrisketError, match="chance"):
        Outcomes().move(torch.full((1, 1), 3), torch.ones(1), torch.zeros(1), at)
    with pytest.raises(FrisketError, match="top_p"):
        Outcomes(top_p=0.0)
    with pytest.raises(FrisketError, match="temperature"):
        Outcomes(temperature=0.0)

"""Several entries under one time: each as its own process makes it, noise apart, weights on the others alone."""

from __future__ import annotations

import pytest
import torch

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.state import shape_of
from frisket.core.step import Step
from frisket.processes.gaussian import Gaussian, shifted
from frisket.processes.joint import Joint, entry_of, process_of
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.testing import check_config, check_process

STEP = Step(seed=3, sample=torch.arange(4), total=10)
TWO = Joint(
    entries={"x": Gaussian(shift=2.0), "cls": Gaussian(path=VPLinear(), prediction=Eps())}, weights={"cls": 0.03}
)
T = torch.tensor([0.1, 0.4, 0.7, 0.95])


def state(seed=0):
    g = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(4, 2, 3, 3, generator=g), "cls": torch.randn(4, 5, generator=g)}


def test_of_one_tensor_it_is_the_process_of_x():
    check_config(TWO)
    check_process(Joint())
    x, plain = state()["x"], TWO.main
    noise = plain.noise((2, 3, 3), STEP)
    assert torch.equal(TWO.noise((2, 3, 3), STEP), noise)
    ours, theirs = TWO.corrupt(x, T, noise), plain.corrupt(x, T, noise)
    assert torch.equal(ours.x_t, theirs.x_t)
    pred = Output(state(1)["x"])
    assert torch.equal(TWO.loss(pred, ours)["denoise"], plain.loss(pred, theirs)["denoise"])


def test_every_entry_is_as_its_own_process_makes_it_at_the_same_time():
    x0 = state()
    noise = TWO.noise(shape_of(x0), STEP)
    c = TWO.corrupt(x0, T, noise)
    pred = state(2)
    terms = TWO.loss(Output(pred), c)
    estimate = TWO.estimate(Output(pred), c.x_t, T)
    assert set(terms) == {"denoise", "cls denoise"}
    for name, process in TWO.entries.items():
        own = process.corrupt(x0[name], T, noise[name])
        assert torch.equal(c.x_t[name], own.x_t)
        assert torch.equal(entry_of(c, name).x0, x0[name])
        value, weight = process.loss(Output(pred[name]), own)["denoise"], {"x": 1.0, "cls": 0.03}[name]
        torch.testing.assert_close(terms["denoise" if name == "x" else "cls denoise"], weight * value)
        torch.testing.assert_close(estimate.x0[name], process.estimate(Output(pred[name]), own.x_t, T).x0)
        torch.testing.assert_close(estimate.noise[name], process.estimate(Output(pred[name]), own.x_t, T).noise)
        later = T + (1 - T) / 2
        again = TWO.renoise(c.x_t, T.double(), later.double(), noise)[name]
        torch.testing.assert_close(again, process.renoise(own.x_t, T.double(), later.double(), noise[name]))
        assert torch.equal(TWO.prior(noise)[name], process.prior(noise[name]))


def test_the_time_is_that_of_x_and_noises_differ():
    u = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TWO.times(u), shifted(u, 2.0))
    noise = TWO.noise({"x": (5,), "cls": (5,)}, STEP)
    assert (noise["x"] - noise["cls"]).abs().min() > 0
    one = TWO.noise({"x": (5,), "cls": (5,)}, STEP.rows(torch.tensor([2])))
    assert torch.equal(one["cls"][0], noise["cls"][2])
    assert process_of(TWO, "cls") is TWO.entries["cls"]
    assert process_of(Gaussian()) == Gaussian()


def test_a_shift_keeps_both_ends_and_is_undone_by_its_inverse():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    for by in (0.4, 2**0.5, 3.0):
        assert shifted(t[[0, -1]], by).tolist() == pytest.approx([0.0, 1.0])
        torch.testing.assert_close(shifted(shifted(t, by), 1 / by), t)
        assert ((shifted(t, by) - t)[1:-1].sign() == (1 if by > 1 else -1)).all()
    assert torch.equal(shifted(t, 1.0), t)


def test_what_is_known_of_x_is_kept_and_does_not_count():
    x0 = state()
    noise = TWO.noise(shape_of(x0), STEP)
    where = torch.zeros(4, 1, 3, 3, dtype=torch.bool)
    where[:, :, 0] = True
    known = Known.within(x0, Known(values=x0["x"], where=where))
    c = TWO.corrupt(x0, T, noise, known)
    assert torch.equal(c.x_t["x"][:, :, 0], x0["x"][:, :, 0])
    assert torch.equal(c.x_t["cls"], TWO.corrupt(x0, T, noise).x_t["cls"])
    pred = state(2)
    changed = {**pred, "x": pred["x"].clone()}
    changed["x"][:, :, 0] += 1
    for name, term in TWO.loss(Output(pred), c).items():
        assert torch.equal(term, TWO.loss(Output(changed), c)[name])


def test_what_does_not_fit_is_refused():
    for wrong in ({}, {"cls": Gaussian()}, {"x": Masked(vocabulary=4)}, {"x": Gaussian(variance=LearnedRange())}):
        with pytest.raises(FrisketError, match="entries"):
            Joint(entries=wrong)
    with pytest.raises(FrisketError, match="weights"):
        Joint(weights={"cls": 0.1})
    with pytest.raises(FrisketError, match="0 or more"):
        Joint(weights={"x": -1.0})
    x0 = {**state(), "more": torch.zeros(4, 2)}
    with pytest.raises(FrisketError, match="more"):
        TWO.noise(shape_of(x0), STEP)
    with pytest.raises(FrisketError, match="one time a sample"):
        TWO.corrupt(state(), T[:, None], state())

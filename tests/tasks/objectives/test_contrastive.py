"""Contrastive flow matching: what it is for equal targets, whose target it takes, and which entry it reads."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.pixels import Pixels
from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.processes.gaussian import Gaussian
from frisket.processes.joint import Joint
from frisket.processes.masked import Masked
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.objectives.base import Pass
from frisket.tasks.objectives.contrastive import Contrastive
from frisket.testing import check_config

STEP = Step(seed=0, sample=torch.arange(4), total=10)
T = torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen(process, x0, noise, pred, t=T):
    corrupted = process.corrupt(x0, t, noise)
    return Pass({}, STEP, process, Pixels(), torch.nn.Identity(), None, corrupted, Output(pred), {})


FLOW = Gaussian()


def term(process=FLOW, **config):
    pipeline = Pipeline(Transformer().build(), process, Pixels(), Sampler(), Info(kind="image", shape=(1, 8, 8)))
    return Contrastive(**config).build(pipeline, {})


def test_it_is_minus_the_error_to_the_target_of_the_sample_before():
    check_config(Contrastive())
    x0, noise, pred = draw(4, 1, 8, 8), draw(4, 1, 8, 8, seed=1), draw(4, 1, 8, 8, seed=2)
    found = term(weight=0.3).loss(seen(Gaussian(), x0, noise, pred))["contrast"]
    for row in range(4):
        other = noise[row - 1] - x0[row - 1]
        torch.testing.assert_close(found[row], -0.3 * (pred[row] - other).square().mean())
    late = term(weight=0.3, over="linear").loss(seen(Gaussian(), x0, noise, pred))["contrast"]
    torch.testing.assert_close(late, found * T.float())


def test_with_equal_targets_it_is_minus_its_weight_times_the_flow_loss():
    x0, noise = draw(1, 1, 8, 8).expand(4, -1, -1, -1), draw(1, 1, 8, 8, seed=1).expand(4, -1, -1, -1)
    one = seen(Gaussian(), x0, noise, draw(4, 1, 8, 8, seed=2))
    flow = Gaussian().loss(one.output, one.corrupted)["denoise"]
    torch.testing.assert_close(term(weight=0.05).loss(one)["contrast"], -0.05 * flow)


def test_the_gradient_reaches_the_prediction_and_the_sum_keeps_a_minimum():
    pred = draw(4, 1, 8, 8, seed=2).requires_grad_()
    one = seen(Gaussian(), draw(4, 1, 8, 8), draw(4, 1, 8, 8, seed=1), pred)
    total = (term(weight=0.05).loss(one)["contrast"] + Gaussian().loss(one.output, one.corrupted)["denoise"]).sum()
    (grad,) = torch.autograd.grad(total, pred)
    target = one.corrupted.noise - one.corrupted.x0
    wanted = 2 * ((pred - target) - 0.05 * (pred - target.roll(1, 0))) / 64
    torch.testing.assert_close(grad, wanted)
    for weight in (1.0, -0.1):
        with pytest.raises(FrisketError, match="weight"):
            Contrastive(weight=weight)


def test_of_several_entries_it_reads_the_one_that_it_names():
    process = Joint(entries={"x": Gaussian(), "cls": Gaussian()})
    x0 = {"x": draw(4, 1, 8, 8), "cls": draw(4, 3)}
    noise = {"x": draw(4, 1, 8, 8, seed=1), "cls": draw(4, 3, seed=1)}
    pred = {"x": draw(4, 1, 8, 8, seed=2), "cls": draw(4, 3, seed=2)}
    both = seen(process, x0, noise, pred)
    for name in x0:
        alone = seen(Gaussian(), x0[name], noise[name], pred[name])
        found = term(process, entry=name).loss(both)["contrast"]
        torch.testing.assert_close(found, term().loss(alone)["contrast"])
    with pytest.raises(FrisketError, match="other"):
        term(process, entry="other")


def test_other_processes_and_lone_samples_are_refused():
    with pytest.raises(FrisketError, match="gaussian"):
        term(Masked(vocabulary=4))
    lone = seen(Gaussian(), draw(1, 1, 8, 8), draw(1, 1, 8, 8), draw(1, 1, 8, 8), T[:1])
    with pytest.raises(FrisketError, match="batch has one"):
        term().loss(lone)

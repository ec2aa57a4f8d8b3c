"""One pass, a full and a masked one, or two that learn how the process hides: by themselves and in a task."""

from __future__ import annotations

import pytest
import torch
from recording import INFO, Absent, Recorder, Spanned, at, rows, task_of

from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError, Output, Step
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.ends import Ids, Logits
from frisket.models.plans.choose import Uniform
from frisket.models.plans.routing import Routing
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.sampling.decoding.outcomes import Outcomes
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.passes import FullAndMasked, LeaveOneOut, Single
from frisket.testing import check_config
from frisket.training.ema import Fixed
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Saving, Trainer

STEP = Step(seed=3, sample=torch.arange(4), index=2)
X0, T = torch.zeros(4, 1, 2, 2), torch.linspace(0.1, 0.9, 4)


class Task:
    """Notes its passes and answers with the mean of a draw."""

    chooses = {"encoder": Uniform()}  # noqa: RUF012

    def __init__(self):
        self.seen = []

    def one_pass(self, x0, t, batch, step, chooses):
        self.seen.append((x0, t, step, chooses))
        return {"x": step.draw("noise").mean()}


def test_the_single_pass_is_shortened_as_the_plan_says():
    check_config(Single())
    task = Task()
    terms = Single().terms(task, X0, T, {}, STEP)
    assert terms == {"x": STEP.draw("noise").mean()}
    assert task.seen == [(X0, T, STEP, Task.chooses)]
    assert Single().forwards(10.0, 7.0) == 7.0


def test_both_passes_share_t_and_differ_in_what_they_draw():
    check_config(FullAndMasked())
    task = Task()
    terms = FullAndMasked().terms(task, X0, T, {}, STEP)
    assert set(terms) == {"x", "masked x"}
    (_, first_t, first, full), (_, second_t, second, masked) = task.seen
    assert first_t is second_t
    assert (full, masked) == ({}, Task.chooses)
    assert terms["x"] != terms["masked x"]
    assert torch.equal(first.sample, second.sample)
    assert first.index == second.index
    again = Task()
    assert FullAndMasked().terms(again, X0, T, {}, STEP) == terms
    assert FullAndMasked().forwards(10.0, 7.0) == 17.0


class Chosen:
    """A process that gives each noising a log chance."""

    def log_chance(self, corrupted):
        return corrupted


class Pair(Task):
    """One parameter that is the chance's slope, and decides the loss only through what is drawn."""

    def __init__(self):
        super().__init__()
        self.slope, self.process = torch.tensor(2.0, requires_grad=True), Chosen()

    def each(self, x0, t, batch, step, chooses):
        self.seen.append((x0, t, step, chooses))
        noise = step.draw("noise")
        return {"x": noise, "y": torch.ones(4)}, Output(noise, losses={"own": noise.mean()}), self.slope * noise


def test_two_noisings_are_each_others_baseline():
    check_config(LeaveOneOut())
    task = Pair()
    terms = LeaveOneOut().terms(task, X0, T, {}, STEP)
    (_, first_t, first, chooses), (_, second_t, second, _) = task.seen
    assert first_t is second_t
    assert chooses == Task.chooses
    a, b = first.draw("noise"), second.draw("noise")
    assert not torch.equal(a, b)
    assert torch.allclose(terms["x"], (a + b).mean() / 2)
    assert terms["y"] == 1
    assert torch.allclose(terms["own"], (a + b).mean() / 2)
    assert torch.allclose(terms["reinforce"], ((a - b) ** 2).mean())
    (grad,) = torch.autograd.grad(terms["reinforce"], task.slope)
    assert torch.allclose(grad.double(), ((a - b) ** 2).mean() / 2)  # the losses' difference is held fixed
    assert LeaveOneOut().forwards(10.0, 7.0) == 14.0


def test_a_process_that_does_not_learn_is_refused():
    task = Pair()
    task.process = object()
    with pytest.raises(FrisketError, match="log_chance"):
        LeaveOneOut().terms(task, X0, T, {}, STEP)


def test_every_pass_of_a_step_is_computed():
    """MDT's second pass sees the same times, other noise, and only some of the tokens."""
    plan = Routing(low=1, high=-1)
    model = Spanned(plan)
    terms = task_of(model, Diffusion(passes=FullAndMasked())).loss(rows(), at())
    assert set(terms) == {"denoise", "masked denoise"}
    assert model.kept[0] is None
    assert model.kept[1]["route"].shape == (6, 2)
    (x_full, t_full, _), (x_masked, t_masked, _) = model.given
    assert torch.equal(t_full, t_masked)
    assert not torch.isclose(x_full, x_masked).any()
    once = Spanned(plan)
    assert set(task_of(once).loss(rows(), at())) == {"denoise"}
    assert len(once.given) == 1


def test_a_step_computes_all_its_passes():
    """One pass is the plain loss; a full and a masked one see two noises and give two terms."""
    task = Diffusion().build(Pipeline(Recorder(), Gaussian(), Absent(), Sampler(), INFO))
    twice = Diffusion(passes=FullAndMasked()).build(Pipeline(Recorder(), Gaussian(), Absent(), Sampler(), INFO))
    step = Step(seed=1, sample=torch.arange(6))
    one, two = task.loss(rows(), step), twice.loss(rows(), step)
    (name,) = one
    assert set(two) == {name, f"masked {name}"}
    assert torch.equal(one[name], two[name])
    (full, t, _), (masked, again, _) = twice.model.given
    assert torch.equal(full, task.model.given[0][0])
    assert torch.equal(t, again)
    assert not torch.equal(full, masked)


def learning(steps):
    """A task whose process learns, and how to train it."""
    info = Info(kind="ids", shape=(6,), extra={"vocabulary": 4})
    network = Transformer(
        width=16, heads=2, input=Ids(vocabulary=4, size=(6,)), output=Logits(vocabulary=4), blocks=repeat(Block(), 1)
    )
    pipeline = Pipeline(
        network.build(), MaskedBySymbol(vocabulary=4), IdsCodec(vocabulary=4), Sampler(update=Outcomes()), info
    )
    task = Diffusion(passes=LeaveOneOut()).build(pipeline)
    return task, Trainer(
        batch=8, steps=steps, optimiser=AdamW(lr=1e-2), saving=Saving(every=3), emas=(Fixed(rate=0.5),)
    )


class Skewed:
    """Rows of ids of which 3 is rare."""

    info = Info(kind="ids", shape=(6,), size=64, digest="skewed", extra={"vocabulary": 4})

    def batch(self, ids):
        x = (torch.arange(6) * 7 + ids[:, None] * 5) % 11 % 4
        return {"x": x, "id": ids}


def test_a_process_that_learns_is_trained_averaged_saved_and_resumed_exactly(tmp_path):
    task, trainer = learning(6)
    assert set(task.trains()) == {"model", "process"}
    start = task.process.theta.detach().clone()
    result = trainer.fit(task, Skewed(), tmp_path / "straight")
    assert not torch.equal(task.process.theta, start)
    halves, short = learning(3)
    short.fit(halves, Skewed(), tmp_path / "halves")
    resumed, trainer = learning(6)
    trainer.fit(resumed, Skewed(), tmp_path / "halves")
    assert torch.equal(resumed.process.theta, task.process.theta)
    saved = Pipeline.from_pretrained(result.folder).process.theta
    assert not torch.equal(saved, task.process.theta)  # the average
    assert not torch.equal(saved, start)
    terms = task.loss(Skewed().batch(torch.arange(8)), Step(seed=0, sample=torch.arange(8)))
    assert set(terms) == {"denoise", "reconstruction", "reinforce"}

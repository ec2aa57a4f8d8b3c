"""One pass, or a full and a masked one."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, Output, Step
from frisket.models.plans.choose import Uniform
from frisket.tasks.passes import FullAndMasked, LeaveOneOut, Single
from frisket.testing import check_config

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

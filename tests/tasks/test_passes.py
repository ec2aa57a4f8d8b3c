"""One pass, or a full and a masked one."""

from __future__ import annotations

import torch

from frisket.core import Step
from frisket.models.plans.choose import Uniform
from frisket.tasks.passes import FullAndMasked, Single
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

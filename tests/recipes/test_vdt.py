"""VDT's own promises: counts, the mixture of tasks, and arms that differ in nothing but what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import Step
from frisket.experiments.arms import arms_of
from frisket.recipes import vdt
from frisket.tasks.diffusion import Diffusion


def test_every_count_comes_out():
    assert all(count.compute() == count.published for count in vdt.COUNTS)


def test_a_fifth_are_holes_and_the_rest_are_six_kinds_alike():
    mixture, step = vdt.tasks(16), Step(seed=0, sample=torch.arange(6000))
    shares = mixture.chosen(step).bincount(minlength=7) / 6000
    assert shares.tolist() == pytest.approx([0.2, *[0.8 / 6] * 6], abs=0.02)
    where = mixture.where((16, 4, 4), Step(seed=0, sample=torch.arange(64)))
    holed = (where.flatten(2).any(2) & ~where.flatten(2).all(2)).any(1)
    assert torch.equal(holed, mixture.chosen(Step(seed=0, sample=torch.arange(64))) == 0)


def test_arms_differ_in_what_is_known_alone():
    arms = arms_of(vdt.experiment("tiny"), vdt.STUDY)
    same = [replace(arm, task=Diffusion()) for arm in arms.values()]
    assert all(arm == same[0] for arm in same)
    assert len({repr(arm.task.known) for arm in arms.values()}) == 4


def test_no_label_is_read():
    assert vdt.experiment("small").fit().model.doors == ()
    assert vdt.experiment("paper").model.doors == ()

"""What the recipe says of itself: its phases, what is given, and arms that differ in who sees whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import Step
from frisket.data.scenes.stories import NewCharacters, OneCharacter
from frisket.experiments.arms import arms_of
from frisket.experiments.experiment import train_flops
from frisket.recipes import mask2dit


def test_counts_come_out():
    assert all(count.compute() == count.published for count in mask2dit.COUNTS)


def test_parity_holds():
    assert mask2dit.PARITY.difference() < mask2dit.PARITY.limit


def test_the_second_phase_goes_on_with_the_first_ones_network():
    experiment = mask2dit.experiment("small")
    assert experiment.model is None
    assert isinstance(experiment.start.data.cast, NewCharacters)
    assert isinstance(experiment.data.cast, OneCharacter)
    assert experiment.start.task.known is None
    fitted = experiment.fit()
    assert fitted.model == fitted.start.fit().model
    assert fitted.reads == fitted.start.fit().reads


def test_half_of_the_samples_are_given_all_but_the_last_scene():
    where = mask2dit.given(3, 4).where((12, 2, 2), Step(seed=0, sample=torch.arange(2000)))
    conditional = where.flatten(1).any(1)
    assert conditional.float().mean().item() == pytest.approx(0.5, abs=0.04)
    line = torch.arange(12) < 8
    assert torch.equal(where[conditional][:, :, 0, 0], line.expand(int(conditional.sum()), 12))


def test_words_and_lengths_are_those_of_the_data():
    experiment = mask2dit.experiment("tiny").start.fit()
    codec = experiment.reads["caption"].codec
    rows = codec.encode(experiment.data.open("test").batch(torch.arange(64))["caption"])
    assert rows.shape == (64, 12)
    assert rows.min() > 0


def test_arms_differ_in_who_sees_whom_and_train_on_equally_many_scenes():
    arms = arms_of(mask2dit.experiment("tiny"), mask2dit.STUDY)
    scenes = {name: arm.data.shots * arm.training.batch * arm.training.steps for name, arm in arms.items()}
    assert len(set(scenes.values())) == 1
    mixers = {name: type(arm.start.model.blocks[0].branches[0].mixer).__name__ for name, arm in arms.items()}
    assert mixers["both masks"] == "SegmentAttention"
    same = [replace(arms[name], start=None, model=None) for name in ("full attention", "both masks", "scenes alone")]
    assert all(arm == same[0] for arm in same)
    assert all(arm.start.training == arms["both masks"].start.training for arm in (arms["full attention"],))


def test_a_study_stays_within_its_budget():
    arms = arms_of(mask2dit.experiment("tiny"), mask2dit.STUDY)
    total = sum(train_flops(arm) + train_flops(arm.start.fit()) for arm in arms.values())
    assert mask2dit.STUDY.seeds * total < 6e12

"""What the recipe says of itself: what its arms change, and that no published encoder is replaced."""

from __future__ import annotations

from dataclasses import replace

from frisket.experiments.arms import arms_of
from frisket.recipes import repa
from frisket.tasks.objectives.targets import Dinov2, Encoder


def test_paper_aligns_with_dinov2_and_small_with_an_encoder_of_its_own_data():
    paper, small = repa.experiment("paper"), repa.experiment("small")
    assert paper.needs == {}
    (alignment,) = paper.task.objectives
    assert (alignment.block, alignment.weight, alignment.target) == (7, 0.5, Dinov2())
    assert alignment.projector.sizes(1152, 768) == (1152, 2048, 2048, 768)
    assert small.task.objectives[0].target == Encoder()
    assert small.needs["encoder"].data == small.data
    assert small.needs["encoder"].model.patch == small.model.input.patch


def test_arms_differ_in_the_alignment_alone():
    experiment = repa.experiment("tiny")
    arms = arms_of(experiment, experiment.study)
    none = arms["none"]
    assert none.task.objectives == ()
    assert none.needs == {}
    for name, block in (("aligned", 1), ("last block aligned", 5), ("untrained encoder", 1)):
        arm = arms[name]
        assert arm.task.objectives[0].block == block
        assert replace(arm, task=none.task, needs={}, name=none.name) == none
    assert arms["untrained encoder"].needs["encoder"].training is None
    assert arms["aligned"].needs["encoder"] == arms["last block aligned"].needs["encoder"]

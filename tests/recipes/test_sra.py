"""What the recipe says of itself: the published setting, and what its arms change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frisket.experiments.arms import arms_of
from frisket.recipes import sra
from frisket.tasks.objectives.distances import SmoothL1


def test_the_published_weight_and_blocks():
    paper = sra.experiment("paper")
    (objective,) = paper.task.objectives
    assert (objective.block, objective.teacher_block, objective.gap) == (7, 19, 0.2)
    assert objective.distance == SmoothL1(beta=0.05)
    epochs = [objective.weight * objective.ramp.factor(5004 * e, paper.training.steps) for e in (0, 149, 649, 1149)]
    assert epochs == pytest.approx([0.2, 0.2, 0.2 * 0.1**0.5, 0.02])
    assert sra.HEAD.parameters(1152, 1152) == 4 * 1152**2 + 3 * 1152


def test_arms_differ_in_the_objective_alone():
    experiment = sra.experiment("tiny")
    arms = arms_of(experiment, experiment.study)
    none = arms["none"]
    assert none.task.objectives == ()
    found = {name: arm.task.objectives[0] for name, arm in arms.items() if name != "none"}
    assert {name: (o.block, o.teacher_block, o.gap) for name, o in found.items()} == {
        "self-aligned": (1, 3, 0.2), "same noise": (1, 3, 0.0), "same block": (1, 1, 0.2),
    }  # fmt: skip
    assert all(replace(arm, task=none.task) == none for arm in arms.values())

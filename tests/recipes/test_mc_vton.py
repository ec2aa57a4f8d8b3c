"""What the recipe says of itself: shares of parameters, what the two phases change, doors and places."""

from __future__ import annotations

import torch

from frisket.adapters.lora import Lora
from frisket.core.edits import apply_edits
from frisket.experiments.arms import arms_of
from frisket.models.count import count_parameters
from frisket.recipes import mc_vton


def learning(model):
    return count_parameters(model, trained_only=True)


def test_adapters_are_below_one_percent_of_the_paper_size():
    experiment = mc_vton.experiment("paper")
    with torch.device("meta"):
        model = experiment.start.start.model.build()
    base = count_parameters(model)
    apply_meta(model, experiment.start.prepare[0].edits)
    assert learning(model) / base < 0.01
    assert count_parameters(model) == base + learning(model)  # references have no weights
    apply_meta(model, experiment.prepare[0].edits)
    assert learning(model) / base < 0.01


def apply_meta(model, edits):
    for edit in edits:
        edit.build(model)


def test_the_second_phase_stands_on_the_first_and_learns_alone():
    experiment = mc_vton.experiment("small")
    assert experiment.needs["teacher"] == experiment.start
    names = [e.name for e in (*experiment.start.prepare[0].edits, *experiment.prepare[0].edits) if isinstance(e, Lora)]
    assert names == ["control", "steps"]
    model = experiment.start.start.fit().model.build()
    apply_edits(model, [*experiment.start.prepare[0].edits, *experiment.prepare[0].edits])
    assert all(".lora.steps." in n for n, p in model.named_parameters() if p.requires_grad)


def test_student_and_teacher_go_over_the_same_knots():
    experiment = mc_vton.experiment("small")
    task = experiment.task
    assert experiment.sampler.steps == task.steps == 8
    assert task.steps * task.substeps == experiment.start.fit().sampler.steps == 24


def test_arms_differ_in_what_they_say():
    experiment = mc_vton.experiment("tiny")
    arms = arms_of(experiment, experiment.study)
    steps = {name: arm.sampler.steps for name, arm in arms.items()}
    assert {name: f"{n} steps" in name for name, n in steps.items()} == dict.fromkeys(arms, True)
    trained = {name for name, arm in arms.items() if arm.training is not None}
    assert trained == {"second adapters, 8 steps"}
    starts = {name: arm.start for name, arm in arms.items()}
    assert starts["adapters, 24 steps"] == starts["adapters, 8 steps"] == starts["second adapters, 8 steps"]
    bases = {arm.start.start.name for arm in arms.values()}
    assert len(bases) == 1

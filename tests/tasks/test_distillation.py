"""The distillation task: one noised state for both, terms by weight, what learns and what is saved."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.compression.depth import RemoveBlocks
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import VPCosine
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.distillation import Distillation, paired
from frisket.training.trainer import Trainer

BATCH = Digits().open("train").batch(torch.arange(6))


def at(index=0, total=11):
    return Step(seed=5, sample=torch.arange(6), index=index, total=total)


def task_of(config=None, student=None, teacher=None):
    return (config or Distillation()).build(student or pruned(), {"teacher": teacher or pipeline()})


def pruned(gone=(1, 3)):
    pipe = pipeline()
    apply_edits(pipe.model, [RemoveBlocks(indices=gone)])
    return pipe


def test_a_student_equal_to_its_teacher_has_only_the_plain_loss_left():
    task = task_of(student=pipeline())
    terms = task(BATCH, at())
    assert terms["match"].item() == pytest.approx(0.0, abs=1e-9)
    assert terms["features"].item() == pytest.approx(0.0, abs=1e-9)
    plain = Diffusion().build(pipeline(), {})(BATCH, at())
    torch.testing.assert_close(terms["denoise"], 0.1 * plain["denoise"])


def test_terms_carry_their_weights_and_features_fade():
    half = task_of(Distillation(share=0.5, features=0.2))
    all_of_it = task_of(Distillation(share=1.0, features=0.4))
    a, b = half(BATCH, at()), all_of_it(BATCH, at())
    torch.testing.assert_close(b["match"], 2 * a["match"])
    torch.testing.assert_close(b["features"], 2 * a["features"])
    assert b["denoise"].item() == 0.0
    assert half(BATCH, at(10))["features"].item() == 0.0
    assert "features" not in task_of(Distillation(features=0.0))(BATCH, at())


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [(14, 28, [(i, 2 * i + 1) for i in range(14)]), (7, 14, [(i, 2 * i + 1) for i in range(7)]), (2, 2, [(0, 0), (1, 1)]),
     (4, 6, [(0, 0), (1, 2), (2, 3), (3, 5)])],
)  # fmt: skip
def test_blocks_are_paired_with_the_end_of_their_share(student, teacher, pairs):
    assert list(paired(student, teacher)) == pairs


def test_only_the_student_learns():
    task = task_of()
    torch.stack(list(task(BATCH, at()).values())).sum().backward()
    assert all(p.grad is None for p in task.teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.plain.model.parameters())
    assert set(task.trains()) == {"model"}


def test_conditions_are_dropped_for_both_alike():
    """With every condition dropped for one of them only, equal networks would disagree."""
    terms = task_of(Distillation(diffusion=Diffusion(drop=0.5)), student=pipeline())(BATCH, at())
    assert terms["match"].item() == pytest.approx(0.0, abs=1e-9)


def test_a_run_brings_the_student_closer_and_saves_it_alone(tmp_path):
    task = task_of()
    before = task(BATCH, at())["match"].item()
    trainer = Trainer(batch=6, steps=12, emas=())
    result = trainer.fit(task, Digits().open("train"), tmp_path / "run")
    student = Pipeline.from_pretrained(result.folder)
    assert len(student.model.blocks) == 2
    assert task_of(student=student)(BATCH, at())["match"].item() < before
    assert torch.equal(pipeline().model.blocks[0].modulation.linear.weight, task.teacher.blocks[0].modulation.linear.weight)


def test_what_cannot_be_distilled_is_refused():
    with pytest.raises(FrisketError, match="teacher"):
        Distillation().build(pruned(), {})
    other = pipeline()
    other.process = Gaussian(path=VPCosine())
    with pytest.raises(FrisketError, match="teacher's process"):
        task_of(teacher=other)
    with pytest.raises(FrisketError, match="student's depth"):
        task_of(student=pipeline(), teacher=pruned())
    with pytest.raises(FrisketError, match=r"task\.share"):
        Distillation(share=1.5)

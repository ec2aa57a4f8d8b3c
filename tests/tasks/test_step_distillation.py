"""Step distillation: the goal is the teacher's way, a student that already goes there has no loss, the teacher stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Lora
from frisket.adapters.preparing import ApplyEdits
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.experiments.experiment import Experiment
from frisket.experiments.system import build, train
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.paths import Cosine
from frisket.sampling.grids import Uniform
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.step_distillation import StepDistillation
from frisket.testing import check_config
from frisket.training.trainer import Trainer

PLAIN = Experiment(
    name="plain", data=Digits(), process=Gaussian(),
    model=Transformer(width=16, heads=2, blocks=repeat(Block(), 1)), task=Diffusion(drop=0.0),
    training=Trainer(batch=4, steps=2), sampler=Sampler(steps=4),
)  # fmt: skip


def pipeline(seed=1, **changes):
    _, made, source = build(replace(PLAIN, **changes).fit())
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in made.model.parameters():
            if p.requires_grad:
                p.normal_(0.0, 0.2, generator=g)
    ids = torch.arange(4)
    return made, {**source.batch(ids), "position": ids}, Step(seed=0, sample=ids)


def test_config():
    check_config(StepDistillation(steps=4, substeps=2))


@pytest.mark.parametrize("path", [Gaussian(), Gaussian(path=Cosine())])
def test_the_goal_is_where_a_finer_sampler_of_the_teacher_ends(path):
    made, batch, step = pipeline(process=path)
    task = StepDistillation(steps=4, substeps=3).build(made, {"teacher": made})
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((4,), 0.75, dtype=torch.float64)
    label = task.plain.conditions(batch, step)
    mean = task.walk(x, t, t - 0.25, label, step)
    at = x
    for k in range(3):
        now = 0.75 - k / 12
        rows = torch.full((4,), now, dtype=torch.float64)
        with torch.no_grad():
            at = at - task.velocity(made.model, at, rows, label, step) / 12
    assert torch.allclose(x - 0.25 * mean, at, atol=1e-5)


def test_a_student_whose_field_is_constant_has_nothing_to_learn():
    made, batch, step = pipeline()
    with torch.no_grad():
        made.model.output.linear.weight.zero_()  # the velocity is then one vector everywhere
        for p in made.model.final_modulation.parameters():
            p.zero_()
    teacher, _, _ = pipeline()
    teacher.model.load_state_dict(made.model.state_dict())
    task = StepDistillation().build(made, {"teacher": teacher})
    assert task.loss(batch, step)["match"].item() < 1e-10


def test_only_the_student_gets_a_gradient():
    made, batch, step = pipeline()
    teacher, _, _ = pipeline(seed=2)
    task = StepDistillation(steps=4, substeps=2).build(made, {"teacher": teacher})
    loss = task.loss(batch, step)["match"]
    loss.backward()
    assert loss.item() > 1e-4
    assert all(p.grad is None for p in teacher.model.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.model.parameters())
    assert list(task.trains()) == ["model"]


def test_every_knot_but_the_last_is_visited():
    made, _, _ = pipeline()
    task = StepDistillation(steps=4).build(made, {"teacher": made})
    step = Step(seed=0, sample=torch.arange(64))
    which = (task.plain.uniform(step) * 4).long()
    assert task.knots == Uniform().times(4, made.process).tolist()
    assert sorted(set(which.tolist())) == [0, 1, 2, 3]


def test_a_second_adapter_learns_from_a_first_phase_and_nothing_else_moves(tmp_path):
    first = replace(
        PLAIN, name="first", model=None, start=PLAIN, prepare=(ApplyEdits(edits=(Lora(name="one"), Freeze())),)
    )
    second = Experiment(
        name="second", data=Digits(), start=first, needs={"teacher": first},
        prepare=(ApplyEdits(edits=(Lora(name="two"), Freeze(learns=("*.lora.two.*",)))),),
        task=StepDistillation(steps=2, substeps=2, diffusion=Diffusion(drop=0.0)),
        training=Trainer(batch=4, steps=3),
    )  # fmt: skip
    student = train(second, tmp_path / "run")
    teacher = train(first, tmp_path / "first", made=tmp_path / "made")
    held = teacher.model.state_dict()
    assert {e.name for e in student.model.edits if isinstance(e, Lora)} == {"one", "two"}
    for name, value in student.model.state_dict().items():
        assert ".lora.two." in name or torch.equal(value, held[name])
    ups = [v for n, v in student.model.state_dict().items() if ".lora.two.up." in n]
    assert any(v.abs().sum() > 0 for v in ups)


def test_its_cost_counts_the_teacher():
    assert StepDistillation(substeps=3).step_macs(None, 10) == 60


def test_refusals():
    made, _, _ = pipeline()
    with pytest.raises(FrisketError, match="needed pipeline 'teacher'"):
        StepDistillation().build(made, {})
    other, _, _ = pipeline(process=Gaussian(path=Cosine()))
    with pytest.raises(FrisketError, match="teacher's process"):
        StepDistillation().build(made, {"teacher": other})
    with pytest.raises(FrisketError, match=r"task\.substeps = 1"):
        StepDistillation(substeps=1)
    made.process = Masked(vocabulary=4)
    with pytest.raises(FrisketError, match="no signal and noise levels"):
        StepDistillation().build(made, {"teacher": made})

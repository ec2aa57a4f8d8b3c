"""Gaps between student and teacher: zero for equals, equal to the official losses, no gradient to the teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.model_times import Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.tasks.matching import inside, masked_gap, output_gap

GOLDEN = Path(__file__).parents[1] / "golden" / "tinyfusion_distill.npz"
DIT = Gaussian(path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand())
STEP = Step(seed=2, sample=torch.arange(5))


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def official(held):
    t = (held["t"].double() + 1) / 1000
    return DIT.corrupt(held["x0"], t, held["noise"])


def test_output_and_variance_terms_are_the_official_ones(held):
    gaps = output_gap(DIT, Output(held["student"]), Output(held["teacher"]), official(held))
    torch.testing.assert_close(gaps["match_variance"], held["vb_kd"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gaps["match"] + gaps["match_variance"], held["kd"], rtol=1e-4, atol=1e-5)


def test_the_representation_loss_is_the_official_one(held):
    pairs = [(0, 1), (1, 3)]
    ours = torch.stack([masked_gap(held["student_features"][i], held["teacher_features"][j]) for i, j in pairs]).mean(0)
    torch.testing.assert_close(ours, held["feat"])


def test_the_whole_loss_and_its_gradient_are_the_official_ones(held):
    student, features = held["student"].clone().requires_grad_(), held["student_features"].clone().requires_grad_()
    c, output = official(held), Output(student)
    terms = {k: v * 0.1 for k, v in DIT.loss(output, c).items()}
    terms |= {k: v * 0.9 for k, v in output_gap(DIT, output, Output(held["teacher"]), c).items()}
    each = [masked_gap(features[i], held["teacher_features"][j]) for i, j in ((0, 1), (1, 3))]
    terms["features"] = 0.01 * torch.stack(each).mean(0)
    loss = torch.stack(list(terms.values())).sum(0)
    torch.testing.assert_close(loss, held["loss"], rtol=1e-4, atol=1e-5)
    loss.mean().backward()
    torch.testing.assert_close(student.grad, held["grad"], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(features.grad, held["grad_features"], rtol=1e-4, atol=1e-7)


def gaussian_pair(process=None):
    g = torch.Generator().manual_seed(0)
    x0 = torch.randn(5, 1, 4, 4, generator=g)
    process = process or Gaussian()
    corrupted = process.corrupt(x0, torch.linspace(0.1, 0.9, 5), process.noise((1, 4, 4), STEP))
    return process, corrupted, Output(torch.randn(x0.shape, generator=g)), Output(torch.randn(x0.shape, generator=g))


def test_the_gap_is_the_squared_distance_of_predictions():
    process, c, student, teacher = gaussian_pair()
    gap = output_gap(process, student, teacher, c)["match"]
    torch.testing.assert_close(gap, (student.pred - teacher.pred).square().flatten(1).mean(1))
    zero = output_gap(process, teacher, teacher, c)["match"]
    torch.testing.assert_close(zero, torch.zeros(5), atol=1e-10, rtol=0)


def test_known_elements_do_not_count():
    process, c, student, teacher = gaussian_pair()
    where = torch.zeros(5, 1, 4, 4, dtype=torch.bool)
    where[..., 2:, :] = True
    from dataclasses import replace

    gap = output_gap(process, student, teacher, replace(c, known=Known(values=c.x0, where=where)))["match"]
    torch.testing.assert_close(gap, (student.pred - teacher.pred)[..., :2, :].square().flatten(1).mean(1))


def test_symbols_are_compared_where_they_are_hidden():
    process, g = Masked(vocabulary=5), torch.Generator().manual_seed(1)
    x0 = torch.randint(0, 5, (5, 12), generator=g)
    c = process.corrupt(x0, torch.full((5,), 0.5), process.noise((12,), STEP))
    student, teacher = (torch.randn(5, 12, 5, generator=g) for _ in range(2))
    gap = output_gap(process, Output(student), Output(teacher), c)["match"]
    p, q = teacher.log_softmax(-1), student.log_softmax(-1)
    each = (p.exp() * (p - q)).sum(-1)
    torch.testing.assert_close(gap, (each * c.hidden).sum(1) / c.hidden.sum(1), rtol=1e-5, atol=1e-6)
    assert (output_gap(process, Output(teacher), Output(teacher), c)["match"].abs() < 1e-6).all()


def test_only_the_student_gets_a_gradient(held):
    student, teacher = (held[k].clone().requires_grad_() for k in ("student", "teacher"))
    gaps = output_gap(DIT, Output(student), Output(teacher), official(held))
    torch.stack(list(gaps.values())).sum().backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None
    a, b = (held[k][:1, :].clone().requires_grad_() for k in ("student_features", "teacher_features"))
    masked_gap(a[0], b[0]).sum().backward()
    assert a.grad.abs().sum() > 0
    assert b.grad is None


def test_equal_features_have_no_gap_and_gaussian_ones_lose_few_entries():
    h = torch.randn(4, 50, 20, generator=torch.Generator().manual_seed(3))
    assert masked_gap(h, h).tolist() == [0.0] * 4
    lost = 1 - inside(h, 2.0).float().mean().item()
    assert 0.03 < lost < 0.06


def test_a_massive_activation_is_compared_with_zero():
    teacher = torch.randn(1, 10, 10, generator=torch.Generator().manual_seed(4)) * 0.1
    student = teacher.clone()
    student[0, 3, 3] = 1000.0
    assert masked_gap(student, teacher).item() < 1.0


def test_a_learned_variance_needs_the_whole_state(held):
    from dataclasses import replace

    c = official(held)
    known = Known(values=c.x0, where=torch.zeros_like(c.x0, dtype=torch.bool))
    with pytest.raises(FrisketError, match="learned variance"):
        output_gap(DIT, Output(held["student"]), Output(held["teacher"]), replace(c, known=known))

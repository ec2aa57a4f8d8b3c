"""Alignment with oneself: what the teacher sees, that it does not learn, and that it follows the average."""

from __future__ import annotations

import pytest
import torch
from aligning import BATCH, SIX, aligned, at, seen_by
from small_models import pipeline

from frisket.core.errors import FrisketError
from frisket.core.sites import install
from frisket.core.step import use_step
from frisket.data.digits import Digits
from frisket.models.plans.choose import Cells, Skip
from frisket.models.plans.fusion import Fused
from frisket.models.plans.routing import Routing
from frisket.processes.clocks import PerSegment
from frisket.processes.gaussian import Gaussian
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.distances import SmoothL1
from frisket.tasks.objectives.ramps import Decades
from frisket.tasks.objectives.self_alignment import SelfAlignment
from frisket.tasks.objectives.taps import tap
from frisket.testing import check_config
from frisket.training.ema import Fixed
from frisket.training.trainer import Saving, Trainer, Watching

N = 16


class Same(torch.nn.Module):
    """A head that leaves tokens as they are."""

    def forward(self, h):
        return h


def task_of(plan=None, drop=0.3, **changes):
    return aligned(SelfAlignment(**changes), plan=plan, drop=drop)


def plain_features(model, seen, t, block):
    """What a block gives in a whole forward, without handlers that leave anything out."""
    taps = {}
    corrupted = seen.process.corrupt(seen.x0, t, seen.corrupted.noise)
    with torch.no_grad(), use_step(at()), install(model, {f"block[{block}]": tap("here", taps)}):
        model(corrupted.x_t, seen.process.model_time(corrupted.local), seen.cond)
    return taps["here"].h


def test_the_teacher_sees_less_noise_by_at_most_the_gap():
    check_config(SelfAlignment(ramp=Decades(), distance=SmoothL1()))
    task = task_of(gap=0.2)
    objective = task.objectives[0]
    gaps = []
    for index in range(60):
        seen = seen_by(task, at(index))
        t = objective.times(seen)
        assert ((t >= 0) & (t <= seen.t)).all()
        gaps.append((seen.t - t)[seen.t > 0.2])
        assert torch.equal(t, objective.times(seen))
    gaps = torch.cat(gaps)
    assert gaps.max() <= 0.2
    assert gaps.mean().item() == pytest.approx(0.1, abs=0.02)


def test_the_teacher_gets_the_same_noise_the_same_dropped_labels_and_stops_behind_its_block():
    task = task_of(drop=0.6)
    seen, objective = seen_by(task), task.objectives[0]
    assert seen.cond.dropped("label").any()
    assert not seen.cond.dropped("label").all()
    t = objective.times(seen)
    wanted = plain_features(task.model, seen, t, 3)
    torch.testing.assert_close(objective.targets(seen, t), wanted, rtol=0, atol=0)
    calls = []
    for i, block in enumerate(objective.teacher.blocks):
        block.register_forward_hook(lambda *_, i=i: calls.append(i))
    objective.targets(seen, t)
    assert calls == [0, 1, 2, 3]
    assert "_site_handlers" not in objective.teacher.__dict__


def test_no_gap_one_block_and_no_head_leave_nothing_to_align():
    task = task_of(gap=0.0, block=2, teacher_block=2)
    task.objectives[0].head = Same()
    found = task.objectives[0].loss(seen_by(task))["self_alignment"]
    torch.testing.assert_close(found, torch.zeros(4), atol=1e-6, rtol=0)
    other = task_of(gap=0.2, block=2, teacher_block=2)
    other.objectives[0].head = Same()
    assert (other.objectives[0].loss(seen_by(other))["self_alignment"] > 1e-5).any()


def test_weight_distance_and_ramp_scale_the_term():
    flat = task_of(weight=0.2, distance=SmoothL1(beta=0.05))
    falling = task_of(weight=0.4, distance=SmoothL1(beta=0.05), ramp=Decades(flat=1, decade=1, epoch=2))
    for index, factor in ((0, 2.0), (3, 2.0), (4, 0.2), (6, 0.02)):
        a, b = (task(BATCH, at(index))["self_alignment"] for task in (flat, falling))
        torch.testing.assert_close(b, factor * a)


def test_the_gradient_reaches_the_head_and_what_is_in_front_of_the_tap_and_never_the_teacher():
    task = task_of(block=1)
    task(BATCH, at())["self_alignment"].backward()
    reached = {n for n, p in task.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert {int(n.split(".")[2]) for n in reached if n.startswith("model.blocks.")} == {0, 1}
    assert any(n.startswith("projectors.0.head.") for n in reached)
    assert not any("teacher" in n for n in reached)
    assert not any(p.requires_grad for p in task.objectives[0].teacher.parameters())


@pytest.mark.parametrize("plan", [Routing(low=2, high=-1), Fused(low=2, high=-1, choose=Skip(inner=Cells(), rate=0.1))])
def test_with_a_token_plan_the_student_is_sparse_and_the_teacher_dense(plan):
    task = task_of(plan=plan)
    seen, objective = seen_by(task), task.objectives[0]
    t = objective.times(seen)
    wanted = plain_features(objective.teacher, seen, t, 3)
    assert wanted.shape == (4, N, 16)
    torch.testing.assert_close(objective.targets(seen, t), wanted)
    assert seen.taps["block[1]"].tags.n == N
    assert torch.isfinite(task(BATCH, at())["self_alignment"])


def test_a_student_inside_a_route_is_compared_at_the_tokens_that_it_kept():
    task = task_of(plan=Routing(low=0, high=-1))
    seen, objective = seen_by(task), task.objectives[0]
    kept = seen.taps["block[1]"]
    wanted = plain_features(objective.teacher, seen, objective.times(seen), 3)
    wanted = torch.stack([row[ids] for row, ids in zip(wanted, kept.tags.index, strict=True)])
    by_hand = 0.5 * objective.config.distance.between(objective.head(kept.h), wanted)
    torch.testing.assert_close(objective.loss(seen)["self_alignment"], by_hand)


def trainer(steps=6, **changes):
    base = {"batch": 4, "emas": (Fixed(rate=0.7, warmup=1), Fixed(rate=0.1)), "saving": Saving(every=2, keep=9),
            "watching": Watching(every=1)}  # fmt: skip
    return Trainer(**{**base, "steps": steps, **changes})


def test_the_teacher_holds_the_first_average_and_resuming_is_exact(tmp_path):
    source = Digits().open("train")
    straight = task_of()
    done = trainer().fit(straight, source, tmp_path / "straight")
    teacher = straight.objectives[0].teacher.state_dict()
    saved = type(straight.pipeline).from_pretrained(done.folder).model.state_dict()
    assert all(torch.equal(teacher[n], saved[n]) for n in saved)
    assert any(not torch.equal(teacher[n], v) for n, v in straight.model.state_dict().items())
    stopped = trainer().fit(task_of(), source, tmp_path / "halves", max_time=0)
    assert stopped.step < 6
    resumed = task_of()
    again = trainer().fit(resumed, source, tmp_path / "halves")
    for name in ("model.safetensors", "training.safetensors"):
        assert (done.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert (tmp_path / "straight" / "metrics.jsonl").read_bytes() == (
        tmp_path / "halves" / "metrics.jsonl"
    ).read_bytes()


def test_the_saved_pipeline_has_neither_head_nor_teacher_and_samples_without_them(tmp_path):
    from frisket.core.files import load_tensors

    source, task = Digits().open("train"), task_of()
    done = trainer(steps=2).fit(task, source, tmp_path)
    assert set(load_tensors(done.folder / "model.safetensors")) == set(task.model.state_dict())
    held = load_tensors(done.folder / "training.safetensors")
    assert any(n.startswith("weights/projectors.0.head.") for n in held)
    assert any(n.startswith("ema/fixed-0.7/projectors.0.head.") for n in held)
    assert not any("teacher" in n for n in held)
    pipe = type(task.pipeline).from_pretrained(done.folder)
    first = pipe.sample(2, label=3)
    with torch.no_grad():
        for p in task.projectors.parameters():
            p.fill_(9.0)
    assert torch.equal(pipe.sample(2, label=3), first)


def test_what_it_cannot_work_with_is_refused(tmp_path):
    with pytest.raises(FrisketError, match=r"trainer\.emas"):
        trainer(emas=()).fit(task_of(), Digits().open("train"), tmp_path)
    for changes, field in (({"gap": 1.5}, r"objective\.gap"), ({"weight": -1.0}, r"objective\.weight")):
        with pytest.raises(FrisketError, match=field):
            SelfAlignment(**changes)
    with pytest.raises(FrisketError, match=r"objective\.teacher_block = 9"):
        task_of(teacher_block=9)
    own = pipeline(config=SIX)
    own.process = Gaussian(clock=PerSegment(segments=(0,) * 4 + (1,) * 4, axis=1))
    with pytest.raises(FrisketError, match="of a single time"):
        Diffusion(objectives=(SelfAlignment(),)).build(own, {})

"""The search over units: exact gradients through the sampler, a planted answer, a saved model."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.compression.width import units_of
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.models.count import count_parameters
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.width_search import OneStep, Trajectory, WidthSearch
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

BATCH = Digits().open("train").batch(torch.arange(4))
STEP = Step(seed=5, sample=torch.arange(4), index=2, total=9)
AIMS = [Trajectory(), OneStep()]


@pytest.mark.parametrize("aim", AIMS, ids=lambda a: a.part_name)
def test_open_gates_change_nothing(aim):
    task = WidthSearch(aim=aim, start=60.0, weight=0.0).build(pipeline(), {})
    assert task(BATCH, STEP)["match"].item() == 0.0
    assert WidthSearch(aim=aim, start=0.0).build(pipeline(), {})(BATCH, STEP)["match"].item() > 0.0


@pytest.mark.parametrize("aim", AIMS, ids=lambda a: a.part_name)
def test_every_logit_and_nothing_else_learns(aim):
    task = WidthSearch(aim=aim, start=0.5).build(pipeline(), {})
    task.plain.model.requires_grad_(False)
    torch.stack(list(task(BATCH, STEP).values())).sum().backward()
    assert all(v.grad is not None and v.grad.abs().sum() > 0 for v in task.gates.logits)
    assert all(p.grad is None for p in task.plain.model.parameters())
    assert set(task.trains()) == {"gates"}


def test_the_gradient_is_that_of_a_finite_difference():
    """Through all steps of the sampler, with the very gates that were drawn."""
    task = WidthSearch(start=0.3, weight=0.0, diffusion=WidthSearch().diffusion).build(pipeline(), {})
    task.plain.model.requires_grad_(False)
    logits = task.gates.logits[2]
    task(BATCH, STEP)["match"].backward()
    with torch.no_grad():
        values = []
        for shift in (2e-2, -2e-2):
            logits[1] += shift
            values.append(task(BATCH, STEP)["match"].item())
            logits[1] -= shift
    assert logits.grad[1].item() == pytest.approx((values[0] - values[1]) / 4e-2, rel=0.05, abs=1e-5)


def test_a_batch_in_pieces_gives_the_mean_of_the_whole():
    task = WidthSearch(start=0.3).build(pipeline(), {})
    whole = task(BATCH, STEP)["match"]
    pieces = [task({k: v[i : i + 2] for k, v in BATCH.items()}, STEP.rows(torch.arange(i, i + 2)))["match"] for i in (0, 2)]
    torch.testing.assert_close(torch.stack(pieces).mean(), whole)


def test_rates_and_penalties_go_by_kind():
    task = WidthSearch(head_rate=1.0, hidden_rate=0.2, weight=0.5).build(pipeline(), {})
    rates = {site.rsplit(".", 1)[1]: v.lr_scale for site, v in zip(task.gates.sites, task.gates.logits, strict=True)}
    assert rates == {"attend": 1.0, "hidden": 0.2}
    sigmoid = torch.sigmoid(torch.tensor(0.4 * 3 + 1)).item()
    assert task(BATCH, STEP)["open"].item() == pytest.approx(0.5 * 2 * sigmoid, rel=1e-5)
    heads_only = WidthSearch(hidden=0.0).build(pipeline(), {})
    assert all(site.endswith("attend") for site in heads_only.gates.sites)


def test_the_result_is_a_model_without_the_units_of_the_lowest_logits(tmp_path):
    task = WidthSearch(heads=0.25, hidden=0.25).build(pipeline(), {})
    weights = {f"gates.{n}": p.detach().clone() for n, p in task.gates.named_parameters()}
    for i, site in enumerate(task.gates.sites):
        weights[f"gates.logits.{i}"][: 1 if site.endswith("attend") else 8] -= 1.0
    task.save_model(tmp_path / "model", weights)
    made = Pipeline.from_pretrained(tmp_path / "model")
    assert {c.site: c.removed for c in made.model.edits[0].cuts} == {
        site: tuple(range(1 if site.endswith("attend") else 8)) for site in task.gates.sites
    }
    assert units_of(made.model) == {s: n * 3 // 4 for s, n in units_of(task.plain.model).items()}
    assert count_parameters(made.model) < count_parameters(task.plain.model)
    assert made.sample(1, label=0).isfinite().all()


@pytest.mark.parametrize("aim", AIMS, ids=lambda a: a.part_name)
def test_a_search_finds_units_that_do_nothing(aim, tmp_path):
    """In each block a quarter of the hidden units reads as zero; they must be what goes."""
    pipe, dead = pipeline(), (3, 5, 11, 12, 20, 21, 29, 31)
    with torch.no_grad():
        for block in pipe.model.blocks:
            block.branches["ffn"].mixer.down.weight[:, dead] = 0.0
    config = WidthSearch(heads=0.0, hidden=0.25, aim=aim, weight=0.3, hidden_rate=1.0)
    trainer = Trainer(batch=4, steps=25, optimiser=AdamW(lr=0.3), emas=())
    result = trainer.fit(config.build(pipe, {}), Digits().open("train"), tmp_path / "run")
    cuts = Pipeline.from_pretrained(result.folder).model.edits[0].cuts
    found = sum(len(set(cut.removed) & set(dead)) for cut in cuts)
    assert found >= 0.8 * 4 * len(dead)


def test_its_sampler_may_be_another_than_the_pipelines():
    short = WidthSearch(aim=Trajectory(sampler=Sampler(steps=1)), start=0.3).build(pipeline(), {})
    long = WidthSearch(start=0.3).build(pipeline(), {})
    assert short(BATCH, STEP)["match"].item() != long(BATCH, STEP)["match"].item()
    assert Trajectory().forwards(pipeline().sampler) == 4.0 * 3 * 2


def test_models_and_states_without_gates_are_refused():
    from torch import nn

    bare = pipeline()
    bare.model = nn.Sequential(nn.Linear(2, 2))
    bare.model.blocks = nn.ModuleList()
    with pytest.raises(FrisketError, match="no heads or hidden units"):
        WidthSearch().build(bare, {})
    with pytest.raises(FrisketError, match=r"task\.heads"):
        WidthSearch(heads=1.0)
    with pytest.raises(FrisketError, match=r"task\.scope"):
        WidthSearch(scope="everywhere")

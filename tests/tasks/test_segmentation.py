"""The segmentation task: official losses, invariants of sets, draws from the step, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError, Step
from frisket.core.condition import Output
from frisket.data.base import Info
from frisket.experiments.system import build
from frisket.models.backbones.queries.focus import Everywhere
from frisket.recipes import dit, mask2former
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.segmentation import Segmentation, SegmentationTask, class_loss, predictions
from frisket.tasks.sets.matching import LeastCost, Pairs
from frisket.tasks.sets.points import Uncertain
from frisket.tasks.sets.segments import Segments
from frisket.testing import check_config

GOLDEN = Path(__file__).parent.parent / "golden" / "mask2former_functions.npz"


def golden():
    with np.load(GOLDEN, allow_pickle=False) as held:
        return {k: torch.from_numpy(held[k]) for k in held.files}


class Given(Step):
    """A step whose draws are the stored points."""

    def draw(self, purpose, shape=(), law="normal"):
        kind, layer = purpose.split("/")
        assert law == "uniform"
        g = golden()
        points = g[f"match_points/{layer}"]
        if kind == "points":
            pairs, own = g[f"pairs/{layer}"], g[f"loss_points/{layer}"]
            points = torch.zeros(2, 3, own.shape[1], 2)
            points[pairs[:, 0], pairs[:, 2]] = own
        assert tuple(points.shape[1:]) == shape
        return points.double()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_losses_are_the_official_ones(layer):
    g = golden()
    config = Segmentation(matching=LeastCost(points=20), points=Uncertain(count=20))
    own = SimpleNamespace(config=config)
    own._candidates = SegmentationTask._candidates.__get__(own)
    targets = Segments(g["target_classes"], g["target_masks"].float())
    found = SegmentationTask.compare(
        own, g[f"classes/{layer}"], g[f"masks/{layer}"], targets, Given(seed=0, sample=torch.arange(2)), layer
    )  # type: ignore[arg-type]
    wanted = g[f"losses/{layer}"] * torch.tensor([2.0, 5.0, 5.0])
    torch.testing.assert_close(
        torch.stack([found[n] for n in ("classes", "masks", "dice")]), wanted, rtol=1e-5, atol=1e-5
    )


@pytest.fixture(scope="module")
def system():
    experiment = mask2former.experiment("tiny").fit()
    task, _, source = build(experiment)
    return task, source


def step(rows, seed=0):
    return Step(seed=seed, sample=torch.arange(rows))


def test_terms_are_finite_and_come_back_with_the_step(system):
    task, source = system
    batch = source.batch(torch.arange(3))
    one, two, other = task(batch, step(3)), task.loss(batch, step(3)), task.loss(batch, step(3, 1))
    assert set(one) == {"classes", "masks", "dice"}
    assert all(bool(v.isfinite()) and v.ndim == 0 for v in one.values())
    assert all(torch.equal(v, two[n]) for n, v in one.items())
    assert not torch.equal(one["masks"], other["masks"])  # other points


def test_every_weight_learns(system):
    task, source = system
    task.zero_grad()
    sum(task(source.batch(torch.arange(3)), step(3)).values()).backward()
    still = [n for n, p in task.model.named_parameters() if p.grad is None]
    assert still == []


def test_every_prediction_is_supervised(system):
    task, source = system
    batch, count = source.batch(torch.arange(2)), task.model.config.layers + 1
    seen = []
    task.compare, held = lambda *a: seen.append(a[-1]) or {"x": torch.zeros(())}, task.compare
    try:
        task.loss(batch, step(2))
    finally:
        task.compare = held
    assert seen == list(range(count))


def test_permuted_queries_have_the_same_loss(system):
    task, source = system
    batch = source.batch(torch.arange(2))
    decoder = task.model.decoder
    before = task(batch, step(2))
    order = torch.randperm(len(decoder.query), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for table in (decoder.query, decoder.place):
            table.copy_(table[order].clone())
    for name, value in task(batch, step(2)).items():
        torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-4)


def test_unmatched_queries_are_asked_for_nothing_and_weigh_little():
    logits = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    targets = Segments(torch.tensor([[1]]), torch.zeros(1, 1, 2, 2))
    pairs = Pairs(*(torch.tensor([i]) for i in (0, 2, 0)))
    each = -logits.log_softmax(-1)[0]
    wanted = (0.1 * each[0, 2] + 0.1 * each[1, 2] + each[2, 1]) / 1.2
    torch.testing.assert_close(class_loss(logits, targets, pairs), wanted)


def test_a_perfect_prediction_costs_almost_nothing():
    own = SimpleNamespace(config=Segmentation(matching=LeastCost(points=30), points=Uncertain(count=30, share=0.0)))
    own._candidates = SegmentationTask._candidates.__get__(own)
    masks = torch.zeros(1, 2, 8, 8)
    masks[0, 0, :, :4], masks[0, 1, :, 4:] = 1, 1
    targets = Segments(torch.tensor([[0, 1]]), masks)
    logits = 60 * torch.eye(3)[[1, 0, 2]][None]
    drawn = 60 * (2 * torch.stack([masks[0, 1], masks[0, 0], 0 * masks[0, 0]])[None] - 1)
    found = SegmentationTask.compare(own, logits, drawn, targets, step(1), 0)  # type: ignore[arg-type]
    assert float(found["classes"]) == pytest.approx(0, abs=1e-5)
    assert float(found["dice"]) < 0.5  # of 5; between the cells of a border, a point's truth is neither 0 nor 1
    swapped = SegmentationTask.compare(own, logits, drawn.flip(1), targets, step(1), 0)  # type: ignore[arg-type]
    assert float(swapped["classes"]) > 1


def test_predictions_end_with_the_last():
    out = Output(torch.ones(1, 2, 3, 3), {
        "classes": torch.ones(1, 2, 4), "layer_masks": torch.zeros(1, 5, 2, 3, 3), "layer_classes": torch.zeros(1, 5, 2, 4),
    })  # fmt: skip
    found = predictions(out)
    assert [float(m.max()) for _, m in found] == [0.0] * 5 + [1.0]


def test_the_trunks_rate_is_its_own(system):
    experiment = mask2former.experiment("tiny")
    task, _, _ = build(replace(experiment, task=replace(experiment.task, trunk=0.1)).fit())
    rates = {n.split(".")[0]: getattr(p, "lr_scale", 1.0) for n, p in task.model.named_parameters()}
    assert rates == {"trunk": 0.1, "pixels": 1.0, "decoder": 1.0}


def test_arms_differ_in_the_focus_alone():
    experiment = mask2former.experiment("tiny")
    plain = replace(experiment, model=replace(experiment.model, focus=Everywhere())).fit()
    ours, theirs = build(experiment.fit())[0].model, build(plain)[0].model
    assert all(torch.equal(v, theirs.state_dict()[n]) for n, v in ours.state_dict().items())


def test_config_round_trips_and_bad_fields_are_named():
    check_config(Segmentation())
    with pytest.raises(FrisketError, match="task.dice"):
        Segmentation(dice=-1.0)


def test_other_models_and_data_are_refused(system):
    task, source = system
    with pytest.raises(FrisketError, match="names masks"):
        Segmentation().build(build(dit.experiment("tiny").fit())[1])
    with pytest.raises(FrisketError, match="'semantic'"):
        task.loss({"x": source.batch(torch.arange(1))["x"]}, step(1))


def test_a_module_without_a_trunk_has_nothing_slowed():
    model = nn.Linear(2, 2)
    model.config = SimpleNamespace(classes=3, stuff=())  # type: ignore[assignment]
    task = Segmentation(trunk=0.1).build(Pipeline(model, None, Pixels(), None, Info(kind="image", shape=(3, 8, 8))))
    assert not any(hasattr(p, "lr_scale") for p in task.model.parameters())

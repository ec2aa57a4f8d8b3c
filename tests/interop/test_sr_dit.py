"""Parity with the official network, attention, rotations, loss and guided sampler at equal weights."""

from __future__ import annotations

import pytest
import torch
from aligning import ToldWhole

from frisket.core import Condition, FrisketError, Step
from frisket.core.sites import Dispatch
from frisket.data.base import Info
from frisket.interop.aligned import projectors
from frisket.interop.golden import stored
from frisket.interop.official import load_official
from frisket.interop.sr_dit import (
    ours,
    process_for,
    sampler_for,
    shift_for,
    speedrun_difference,
    speedrun_transformer,
    sr_dit_pipeline,
)  # fmt: skip
from frisket.models.count import parameters_of_size
from frisket.models.layers.base import BranchCall, Side
from frisket.models.layers.values import NAME
from frisket.models.tokens import Tokens, gather
from frisket.sampling.base import Start
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.base import Pass
from frisket.tasks.objectives.contrastive import Contrastive
from frisket.tasks.objectives.projector import Projector

NOBODY = torch.empty(3, 0, dtype=torch.int64)


@pytest.fixture(scope="module")
def held():
    return stored("sr-dit")


@pytest.fixture(scope="module")
def weights(held):
    return {k[2:]: v for k, v in held.items() if k.startswith("w/")}


@pytest.fixture(scope="module")
def model(weights):
    return load_official("sr-dit", weights, num_heads=2)


def state(held):
    return {"x": held["in/x"], "cls": held["in/cls"]}


def call(model, held, keep=None, drop=False):
    cond = Condition.of(label=held["in/y"])
    with torch.no_grad():
        return model(state(held), held["in/t"], cond.without() if drop else cond, keep).pred


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_sparse_dense_and_shallow_passes_and_projections_are_the_official_ones(model, held):
    assert speedrun_difference() < 1e-5
    assert (held["sparse/x"] - held["dense/x"]).abs().max() > 0.05
    assert (held["dense/cls"] - held["shallow/cls"]).abs().max() > 0.05
    assert (held["in/ids"] == 0).any()
    moved = {"middle": ours(held["in/ids"], 17) - 1}
    assert (call(model, held, {"middle": moved["middle"] % 17})["x"] - held["sparse/x"]).abs().max() > 1e-3


def test_where_the_path_is_dropped_the_middle_is_not_read(model, held, weights):
    skipped = call(model, held, {"middle": NOBODY})
    close(skipped["x"], held["dropped/x"])
    close(skipped["cls"], held["dropped/cls"])
    spoiled = {k: v + 1 if k.startswith("blocks.2.") else v for k, v in weights.items()}
    other = load_official("sr-dit", spoiled, num_heads=2)
    again = call(other, held, {"middle": NOBODY})
    assert all(torch.equal(again[n], skipped[n]) for n in again)
    assert (call(other, held)["x"] - call(model, held)["x"]).abs().max() > 1e-2


def branch_call(model, side, at):
    return BranchCall(side, at, "", model.blocks[3].branches["attn"].mixer.positions.placing)


def turned(values):
    """Official order of tokens, the class token first, as ours."""
    return values.roll(-1, 1 if values.ndim == 3 else 2)


def test_attention_mixes_the_first_values_as_the_official_one(model, held):
    tokens, embedded = Tokens(turned(held["attn/h"]), model.tags(state(held))), held["in/x"]
    side = Side(grid=model.config.input.grid_of(embedded), state=17, raw=embedded)
    side.held[NAME] = (turned(held["attn/v1"]), tokens.tags, None)
    with torch.no_grad():
        out = model.blocks[3].branches["attn"].mixer(tokens, branch_call(model, side, Dispatch(model)))
    close(out, turned(held["attn/out"]))


def test_rotations_of_a_subset_are_the_official_ones(model, held):
    ids = ours(held["in/ids"], 17)
    tags = model.tags(state(held)).take(ids)
    placing = model.blocks[0].branches["attn"].mixer.positions.placing
    q, _, _ = placing.place(held["rope/q"], held["rope/q"], tags, tags)
    close(q, held["rope/out"])
    cls = gather(q.transpose(1, 2), torch.zeros(3, 1, dtype=torch.int64))
    assert cls.shape == (3, 1, 2, 8)
    assert torch.equal(q[0, :, 0] if held["in/ids"][0, 0] == 0 else held["rope/q"][0, :, 0], held["rope/q"][0, :, 0])


def test_the_loss_is_the_official_one_term_by_term(model, held, weights):
    pipeline, shape = sr_dit_pipeline(model), tuple(held["in/x"].shape[1:])
    process = process_for(shape)
    assert pipeline.process == process
    target = ToldWhole(turned(held["loss/target"]))
    aligned = Alignment(block=1, weight=0.5, target=target, projector=Projector(hidden=8))
    parts = (aligned, Contrastive(), Contrastive(over="linear", name="late"))
    task = Diffusion(objectives=parts).build(pipeline, {})
    task.objectives[0].projector = projectors("repa", weights)[0]
    step = Step(seed=0, sample=torch.arange(3), total=10)
    t = process.times(held["loss/u"].double())
    torch.testing.assert_close(t.float(), held["loss/time"])
    noise = {"x": held["loss/noise"], "cls": held["loss/noise_cls"]}
    corrupted, cond = process.corrupt(state(held), t, noise), Condition.of(label=held["in/y"])
    keep = {"middle": ours(held["in/ids"], 17)}
    with torch.no_grad():
        output, taps = task.predict(corrupted, cond, step, keep)
        seen = Pass({"x": held["in/x"]}, step, process, task.codec, model, cond, corrupted, output, taps)
        found = dict(process.loss(output, corrupted))
        for objective in task.objectives:
            found |= objective.loss(seen)
    close(found["denoise"], held["loss/denoise"])
    close(found["cls denoise"], 0.03 * held["loss/cls"])
    close(found["alignment"].mean(), 0.5 * held["loss/projection"])
    close(found["contrast"].mean(), 0.05 * held["loss/contrast/uniform"])
    close(found["late"].mean(), 0.05 * held["loss/contrast/linear"])


def test_guided_sampling_is_the_official_one(model, held, monkeypatch):
    shape = {"x": tuple(held["in/x"].shape[1:]), "cls": (6,)}
    published = sampler_for(shape["x"])
    sampler = Sampler(steps=3, update=published.update, grid=published.grid, guidance=published.guidance)
    pairs = [{"x": held[f"sde/noise{2 * i}"], "cls": held[f"sde/noise{2 * i + 1}"]} for i in range(2)]
    monkeypatch.setattr("frisket.processes.joint.Joint.noise", lambda self, shape, step: pairs[step.index])
    step = Step(seed=0, sample=torch.arange(3))
    start = Start(x={n: v.double() for n, v in state(held).items()}, t=1.0)

    class Single:
        def __call__(self, x, t, cond=None, keep=None):
            return model({n: v.float() for n, v in x.items()}, t.float(), cond, keep)

        def tags(self, x):
            return model.tags(x)

    with torch.no_grad():
        *_, before, last = sampler.run(
            Single(),
            process_for(shape["x"]),
            shape=shape,
            step=step,
            cond=Condition.of(label=held["in/y"]),
            start=start,
        )
    official = (
        last.x["x"] - before.t * last.estimate.noise["x"]
    )  # its last move keeps the drift that balances the noise
    torch.testing.assert_close(official.float(), held["sde/out"], rtol=1e-4, atol=1e-4)
    assert before.t < 0.005


def test_counts_of_the_published_size():
    config = speedrun_transformer(768, 12, 12)
    assert parameters_of_size(config) + 768 + Projector().parameters(768, 768) == 140_235_051
    assert parameters_of_size(config) - 196_608 == 132_692_779
    assert shift_for((32, 16, 16)) == pytest.approx(2**0.5)


def test_the_wiring_samples_without_an_encoder_and_cannot_encode(model):
    pipeline = sr_dit_pipeline(model)
    made = pipeline.sample(2, steps=3, label=1)
    assert made.shape == (2, 2, 4, 4)
    with pytest.raises(FrisketError, match="cannot encode"):
        pipeline.redraw(made, label=1)
    assert isinstance(pipeline.info, Info)


def test_weights_of_other_shapes_are_refused(weights):
    with pytest.raises(FrisketError, match="input_size"):
        load_official("sr-dit", weights, num_heads=2, input_size=8)
    placed = {**weights, "pos_embed": weights["pos_embed"] + 1}
    with pytest.raises(FrisketError, match="no place"):
        load_official("sr-dit", placed, num_heads=2)
    with pytest.raises(FrisketError, match="published size"):
        load_official("sr-dit", weights)

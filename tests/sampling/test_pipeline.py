from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import Joint, tiny_pipeline

from frisket.codecs.base import Spec
from frisket.codecs.palette import Palette
from frisket.codecs.readers import Reader
from frisket.core import FrisketError, Output
from frisket.data.base import Info
from frisket.models.block import Block, Branch
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.grid_ids import GridIds
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.schedules import Cosine
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.guidance import Guidance, autoguidance, cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline(update=Ancestral())


def test_batches_change_nothing(pipeline):
    labels = torch.tensor([0, 1, 2, 3, 0])
    whole = pipeline.sample(5, seed=3, guidance=2.0, label=labels)
    assert whole.shape == (5, 1, 8, 8)
    assert float(whole.std()) > 0.01
    for batch in (1, 2, 4):
        torch.testing.assert_close(
            whole, pipeline.sample(5, seed=3, guidance=2.0, batch=batch, label=labels), rtol=0, atol=1e-5
        )
    later = pipeline.sample(2, seed=3, guidance=2.0, first=3, label=labels[3:])
    torch.testing.assert_close(whole[3:], later, rtol=0, atol=1e-5)


def test_conditions_seeds_and_steps_matter(pipeline):
    base = pipeline.sample(2, label=1)
    assert torch.equal(base, pipeline.sample(2, label="c1"))
    for change in ({"label": 2}, {"label": 1, "seed": 1}, {"label": 1, "steps": 3}, {"label": 1, "guidance": 4.0}):
        assert not torch.allclose(base, pipeline.sample(2, **change))


def test_guidance_of_zero_is_the_null(pipeline):
    torch.testing.assert_close(
        pipeline.sample(2, label=1, guidance=0.0), pipeline.sample(2, label=None), rtol=0, atol=1e-5
    )


def test_a_number_keeps_the_samplers_own_branches():
    guided = tiny_pipeline(guidance=cfg(5.0, channels=1))
    assert guided._sampler(None, 2.0).guidance == cfg(2.0, channels=1)
    assert guided._sampler(None, cfg(1.0)).guidance == cfg(1.0)
    assert guided._sampler(7, None).steps == 7
    both = Guidance(others=cfg(2.0).others + autoguidance(2.0).others, scales=cfg(2.0).scales * 2)
    with pytest.raises(FrisketError, match="several branches"):
        tiny_pipeline(guidance=both).sample(1, guidance=2.0, label=0)


def test_snapshots_end_with_the_sample(pipeline):
    shots = list(pipeline.snapshots(2, label=1))
    assert len(shots) == 5
    assert torch.equal(pipeline.decode(shots[-1].x), pipeline.sample(2, label=1))


def test_the_model_comes_back_as_it_was(pipeline):
    pipeline.model.train()
    run = pipeline.snapshots(1, label=0)
    next(run)
    assert pipeline.model.training
    pipeline.sample(1, label=0)
    assert pipeline.model.training
    assert all(p.grad is None for p in pipeline.model.parameters())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), how=st.sampled_from([None, "renoise", "clean", "same-noise"]))
def test_edit_leaves_the_outside_bit_for_bit(seed, how):
    pipeline = tiny_pipeline(corrections=() if how is None else (ImposeKnown(how=how),))
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:6, 1:5] = True
    out = pipeline.edit(x, mask, seed=seed, batch=2, label=None)
    assert torch.equal(out[..., ~mask], x[..., ~mask])
    assert bool((out[..., mask] != x[..., mask]).any())
    torch.testing.assert_close(out, pipeline.edit(x, mask, seed=seed, label=None), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("mask", "match"),
    [(torch.zeros(8, 8), "torch.bool"), (torch.zeros(5, 5, dtype=torch.bool), "does not broadcast")],
)
def test_masks_that_do_not_fit(pipeline, mask, match):
    with pytest.raises(FrisketError, match=match):
        pipeline.edit(torch.zeros(1, 1, 8, 8), mask, label=0)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"label": 4}, "between 0 and 3"), ({"n": 0}, "n = 0"), ({"batch": 0}, "batch = 0"), ({}, "missing: label")],
)
def test_bad_input(pipeline, change, match):
    with pytest.raises(FrisketError, match=match):
        pipeline.sample(**{"n": 2} | change)


class Words:
    """A codec of ids to strings."""

    def build(self):
        return self

    def fit(self, source):
        return self

    def encode(self, x, draw=None):
        return torch.tensor([["abc".index(c) for c in word] for word in x])

    def decode(self, state):
        return ["".join("abc"[i] for i in row) for row in state.tolist()]

    def spec(self, info):
        return Spec(kind="ids", shape=(3,), vocabulary=3)


def test_ids_decode_to_what_the_codec_says():
    process = Masked(vocabulary=3)
    joint = Joint(process)
    model = torch.nn.Module()
    model.forward = lambda x, t, cond=None: joint(x, t)
    pipeline = Pipeline(model, process, Words(), Sampler(steps=3, update=Ordered()), Info(kind="text"))
    words = pipeline.sample(5, batch=2)
    assert len(words) == 5
    assert all(isinstance(w, str) and len(w) == 3 for w in words)
    assert words == pipeline.sample(5)


def test_further_models_are_used(pipeline):
    weak = tiny_pipeline(seed=9)
    with pytest.raises(FrisketError, match="'weak'"):
        pipeline.sample(1, guidance=autoguidance(2.0), label=0)
    both = Pipeline(
        pipeline.model, pipeline.process, pipeline.codec, pipeline.sampler, pipeline.info, others={"weak": weak.model}
    )
    assert not torch.allclose(both.sample(1, guidance=autoguidance(2.0), label=0), pipeline.sample(1, label=0))


def test_completing_ids_keeps_the_known():
    process = Masked(vocabulary=3)
    joint = Joint(process)
    model = torch.nn.Module()
    model.forward = lambda x, t, cond=None: joint(x, t)
    pipeline = Pipeline(model, process, Words(), Sampler(steps=3, update=Ordered()), Info(kind="text"))
    known = Known(
        values=torch.tensor([[2, 0, 0], [1, 0, 0], [0, 1, 0]]), where=torch.tensor([[True, False, False]] * 3)
    )
    words = pipeline.complete(known, batch=2)
    assert [w[0] for w in words] == ["c", "b", "a"]
    assert words == pipeline.complete(known)
    *_, last = pipeline.snapshots(3, known=known)
    assert pipeline.decode(last.x) == words


def test_classes_in_turn(pipeline):
    assert pipeline.in_turn(6, first=3)["label"].tolist() == [3, 0, 1, 2, 3, 0]


def test_a_negative_condition_takes_the_nulls_place(pipeline):
    plain = pipeline.sample(2, label=1, guidance=3.0)
    away = pipeline.sample(2, label=1, guidance=3.0, negative={"label": 2})
    assert not torch.allclose(plain, away)
    torch.testing.assert_close(plain, pipeline.sample(2, label=1, guidance=3.0, negative={"label": None}))
    same = pipeline.sample(2, label=1, guidance=3.0, negative={"label": 1})
    torch.testing.assert_close(same, pipeline.sample(2, label=1, guidance=1.0), rtol=0, atol=1e-5)
    torch.testing.assert_close(pipeline.sample(2, label=1, guidance=0.0, negative={"label": 2}),
                               pipeline.sample(2, label=2, guidance=1.0), rtol=0, atol=1e-5)  # fmt: skip
    image, mask = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(2, 1, 8, 8).bool()
    edits = [pipeline.edit(image, mask, label=1, guidance=3.0, negative=n) for n in (None, {"label": 2})]
    assert not torch.allclose(*edits)
    with pytest.raises(FrisketError, match="negative condition 'colour'"):
        pipeline.sample(2, label=1, negative={"colour": 2})


def masked_pipeline(steps=3):
    """A pipeline of ids on images: cells of two colours, from a network that likes the second at every other place."""
    process, info = Masked(vocabulary=2, schedule=Cosine()), Info(kind="image", shape=(1, 4, 4))
    model = torch.nn.Module()
    taste = torch.tensor([[-2.0, 2.0], [2.0, -2.0]]).repeat(8, 1).view(4, 4, 2)
    model.forward = lambda x, t, cond=None: Output(taste.expand(*x.shape, 2))
    codec = Palette(colours=((0.0,), (1.0,)))
    return Pipeline(model, process, codec, Sampler(steps=steps, update=Ordered()), info)


def test_redrawing_ids_goes_from_the_given_to_the_models_own():
    pipeline, x = masked_pipeline(), torch.zeros(64, 1, 4, 4)
    free = pipeline.sample(64)
    shares = [
        float((pipeline.redraw(x, strength=s, rounds=r, steps=2) != 0).double().mean())
        for s, r in ((0.05, 1), (0.5, 1), (0.5, 4), (1.0, 1))
    ]
    assert 0 < shares[0] < shares[1] < shares[2] <= shares[3] + 0.05
    assert shares[3] == pytest.approx(float(free.double().mean()), abs=0.05)
    whole = pipeline.redraw(x, strength=0.5, rounds=2)
    assert torch.equal(whole, pipeline.redraw(x, strength=0.5, rounds=2, batch=7))


def test_redrawing_pixels_keeps_more_from_less_noise(pipeline):
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    near, far = (float((pipeline.redraw(x, strength=s, label=0) - x).abs().mean()) for s in (0.1, 0.9))
    assert near < far


HALF = Palette(colours=((0.0,), (0.3,), (0.6,), (1.0,)), patch=2)
LOW = Door(name="low", way="context", embedder=GridIds(vocabulary=4, size=(4, 4), heads=2))
CROSS = Block(branches=(Branch(name="cross", mixer=Cross()), *Block().branches))


def moved(model, seed=7):
    """Every weight moved away from its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return model


def test_a_stage_makes_the_condition_that_is_not_given():
    base = tiny_pipeline(seed=1)
    config = replace(base.model.config, doors=(*base.model.config.doors, LOW), blocks=(CROSS,))
    model = moved(config.build())
    two = Pipeline(model, base.process, base.codec, base.sampler, base.info,
                   reads={"low": Reader(key="x", codec=HALF)}, stages={"low": base})  # fmt: skip
    made = two.sample(3, seed=4, label=1)
    first = base.sample(3, seed=4, label=1)
    assert torch.equal(made, two.sample(3, seed=4, label=1, low=first))
    assert torch.equal(made, two.sample(3, seed=4, label=1, low=HALF.encode(first)))
    assert torch.equal(made[1:], two.sample(2, seed=4, label=1, first=1))
    assert not torch.allclose(made, two.sample(3, seed=4, label=1, low=1 - first))
    assert set(two.in_turn(2)) == {"label"}, "what a stage makes need not be asked for"
    mask = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    mask[..., 4:] = True
    edited = two.edit(first, mask, seed=5, label=1)
    assert torch.equal(edited[~mask], first[~mask])
    assert torch.equal(edited, two.edit(first, mask, seed=5, label=1, low=base.edit(first, mask, seed=5, label=1)))
    redrawn = two.redraw(first, strength=0.5, seed=6, label=1)
    below = base.redraw(first, strength=0.5, seed=6, label=1)
    assert torch.equal(redrawn, two.redraw(first, strength=0.5, seed=6, label=1, low=below))
    shots = list(two.snapshots(3, seed=4, label=1))
    assert torch.equal(two.decode(shots[-1].x), made)

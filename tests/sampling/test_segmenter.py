"""The segmenter: what it returns, its folder, its refusals."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.experiments.system import build
from frisket.recipes import dit, mask2former
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.segmenter import Segmenter
from frisket.sampling.segments import Merge
from frisket.testing.backbones import stir


@pytest.fixture(scope="module")
def segmenter():
    pipeline = build(mask2former.experiment("tiny").fit())[1]
    stir(pipeline.model, 0.1)
    return Segmenter(pipeline)


def images(n=3):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_three_readings_of_one_pass(segmenter):
    found = segmenter.segment(images(), most=7)
    assert found.semantic.shape == found.panoptic.classes.shape == found.panoptic.segments.shape == (3, 32, 32)
    assert 0 <= int(found.semantic.min()) <= int(found.semantic.max()) < 21
    assert [i.masks.shape[1:] for i in found.instances] == [(32, 32)] * 3
    assert all(len(i.classes) <= 7 and 0 not in i.classes.tolist() for i in found.instances)


def test_the_batch_changes_nothing(segmenter):
    one, all_ = segmenter.segment(images(), batch=1), segmenter.segment(images(), batch=3)
    assert torch.equal(one.semantic, all_.semantic)
    for a, b in zip(one.instances, all_.instances, strict=True):
        torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-5)


def test_the_model_says_how_its_map_is_read_and_a_call_may_say_otherwise(segmenter):
    assert segmenter.merge == Merge(score=0.5, overlap=0.8)
    everything = segmenter.segment(images(), merge=Merge(score=0.0, overlap=0.0)).panoptic
    nothing = segmenter.segment(images(), merge=Merge(score=1.0)).panoptic
    assert bool((nothing.classes == -1).all())
    assert int(everything.segments.max()) > 0


def test_a_saved_segmenter_finds_the_same(segmenter, tmp_path):
    again = Segmenter.from_pretrained(segmenter.save_pretrained(tmp_path / "model"))
    assert (again.stuff, again.classes, again.merge) == (segmenter.stuff, segmenter.classes, segmenter.merge)
    one, two = segmenter.segment(images()), again.segment(images())
    assert torch.equal(one.semantic, two.semantic)
    assert "makes no samples" in (tmp_path / "model" / "README.md").read_text()


def test_its_pipeline_makes_no_samples(segmenter, tmp_path):
    segmenter.save_pretrained(tmp_path / "model")
    pipeline = Pipeline.from_pretrained(tmp_path / "model")
    assert pipeline.process is None
    assert pipeline.sampler is None
    with pytest.raises(FrisketError, match="makes no samples"):
        pipeline.sample(1)


def test_the_model_stays_in_the_mode_it_was_in(segmenter):
    segmenter.pipeline.model.train()
    segmenter.segment(images(1))
    assert segmenter.pipeline.model.training


def test_what_does_not_fit_is_refused(segmenter):
    with pytest.raises(FrisketError, match="names masks"):
        Segmenter(build(dit.experiment("tiny").fit())[1])
    with pytest.raises(FrisketError, match="batch = 0"):
        segmenter.segment(images(), batch=0)
    with pytest.raises(FrisketError, match="most = 0"):
        segmenter.segment(images(), most=0)
    with pytest.raises(FrisketError, match="multiples of 16"):
        segmenter.segment(torch.rand(1, 3, 20, 32))

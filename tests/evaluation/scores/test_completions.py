"""The scores of completions on a small pipeline."""

from __future__ import annotations

import math

import pytest
import torch
from video_pipeline import DATA, video_pipeline

from frisket.core import FrisketError
from frisket.evaluation.completions import completed, kind_of, unknown_error
from frisket.evaluation.heldout import heldout_loss
from frisket.evaluation.scores.completions import Completions
from frisket.testing import check_config


def test_every_number_is_there_and_known_is_exact():
    check_config(Completions())
    pipeline, score = video_pipeline(), Completions(times=2, made=2)
    found = score.take(pipeline, DATA, 3, 0)
    assert tuple(found) == Completions.gives
    assert all(math.isfinite(v) for v in found.values())
    assert found["known_change"] == 0.0
    error = unknown_error(completed(pipeline, DATA, kind_of("predict", 8), 2, 0)).mean()
    assert found["predict_psnr"] == pytest.approx(-10 * math.log10(float(error)))


def test_nothing_known_is_the_plain_heldout_loss():
    pipeline = video_pipeline()
    plain = heldout_loss(pipeline.model, pipeline.process, pipeline.coder, DATA.open("test"), n=3, times=2)
    found = Completions(times=2, made=1).take(pipeline, DATA, 3, 0)
    assert found["free_loss"] == pytest.approx(plain.mean.value, rel=1e-6)
    assert found["predict_loss"] != found["free_loss"]


def test_noise_under_what_is_known_does_not_matter():
    pipeline, maker = video_pipeline(), kind_of("predict", 8)
    x0 = pipeline.coder.encode(DATA.open("test").batch(torch.arange(2))["x"])
    from frisket.core import Step

    step = Step(seed=0, sample=torch.arange(2))
    noise, t = pipeline.process.noise(tuple(x0.shape[1:]), step), torch.tensor([0.3, 0.8])
    known = maker.known(x0, step)
    other = torch.where(known.where, noise + 7, noise)
    losses = []
    for one in (noise, other):
        corrupted = pipeline.process.corrupt(x0, t, one, known)
        with torch.no_grad():
            output = pipeline.model(corrupted.x_t, pipeline.process.model_time(t), None)
        losses.append(pipeline.process.loss(output, corrupted)["denoise"])
    assert torch.equal(*losses)


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(FrisketError, match=r"score\.times"):
        Completions(times=0)
    with pytest.raises(FrisketError, match=r"score\.made"):
        Completions(made=0)

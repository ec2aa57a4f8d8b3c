"""Completions: what is given stays to the bit, and the error is of the rest alone."""

from __future__ import annotations

import pytest
import torch
from video_pipeline import DATA, video_pipeline

from frisket.core import FrisketError, Step
from frisket.data.scenes.source import Scenes
from frisket.evaluation.completions import (
    KINDS,
    Completed,
    completed,
    frames_of,
    kind_of,
    known_change,
    unknown_error,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_is_not_touched_and_the_rest_is_made(kind):
    pipeline, maker = video_pipeline(), kind_of(kind, 8)
    one = completed(pipeline, DATA, maker, 3, seed=0)
    assert one.truth.shape == one.made.shape == (3, 3, 8, 8, 8)
    assert torch.equal(
        one.truth, pipeline.coder.decode(pipeline.coder.encode(DATA.open("test").batch(torch.arange(3))["x"]))
    )
    assert known_change(one) == 0.0
    assert torch.equal(one.made.where(one.known, 0 * one.made), one.truth.where(one.known, 0 * one.made))
    rest = (one.made != one.truth).any(1, keepdim=True) & ~one.known
    assert float(rest.sum() / (~one.known).sum()) > 0.9
    assert (unknown_error(one) > 0).all()


def test_kinds_give_what_they_say():
    step = Step(seed=0, sample=torch.arange(20))
    shares = {kind: float(kind_of(kind, 8).where((8, 4, 4), step).float().mean()) for kind in KINDS}
    assert (shares["predict"], shares["interpolate"], shares["free"]) == (0.5, 0.25, 0.0)
    assert 0.5 < shares["complete"] < 1
    with pytest.raises(FrisketError, match="kind of completion"):
        kind_of("guess", 8)


def test_the_error_is_over_what_was_made():
    truth = torch.zeros(1, 2, 2, 1, 1)
    known = torch.tensor([True, False]).view(1, 1, 2, 1, 1)
    made = truth.clone()
    made[0, :, 1] = torch.tensor([[[0.5]], [[0.1]]])
    one = Completed(truth=truth, known=known, made=made)
    assert float(unknown_error(one)) == pytest.approx((0.25 + 0.01) / 2)
    made[0, 1, 0] = -0.3
    assert known_change(one) == pytest.approx(0.3)


def test_the_same_seed_gives_the_same_whatever_the_batch(monkeypatch):
    whole = completed(video_pipeline(), DATA, kind_of("complete", 8), 3, seed=1)
    monkeypatch.setattr("frisket.evaluation.completions.BATCH", 2)
    parts = completed(video_pipeline(), DATA, kind_of("complete", 8), 3, seed=1)
    assert torch.equal(whole.known, parts.known)
    torch.testing.assert_close(whole.made, parts.made)


def test_images_are_no_videos():
    assert frames_of(DATA) == 8
    with pytest.raises(FrisketError, match="videos"):
        frames_of(Scenes())

"""Calibration passes: functions of the seed alone, the process's own loss, streams too."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.compression.calibration import Calibration, mean_loss, run_pass
from frisket.compression.gates import skip_blocks
from frisket.core import FrisketError
from frisket.data.digits import Digits


class Forward:
    """The same items, to be read forwards only and without labels."""

    def __init__(self, labels=True):
        self.source, self.at, self.labels = Digits().open("train"), 0, labels
        self.info = self.source.info

    def read(self, n):
        ids = torch.arange(self.at, self.at + n)
        self.at += n
        batch = self.source.batch(ids)
        return batch if self.labels else {"x": batch["x"]}


def test_passes_come_back_and_cover_the_times_evenly():
    pipe, source = pipeline(), Digits().open("train")
    first, again = (Calibration(items=10, batch=4).passes(pipe, source, seed=3) for _ in range(2))
    assert [len(p.step.sample) for p in first] == [4, 4, 2]
    assert all(torch.equal(a.corrupted.x_t, b.corrupted.x_t) for a, b in zip(first, again, strict=True))
    t = torch.cat([p.corrupted.t for p in first]).sort().values
    assert (t.diff() < 0.3).all()
    other = Calibration(items=10, batch=4).passes(pipe, source, seed=4)
    assert not torch.equal(first[0].corrupted.x_t, other[0].corrupted.x_t)


def test_batches_and_streams_change_nothing():
    pipe = pipeline()
    whole = Calibration(items=8, batch=8).passes(pipe, Digits().open("train"))
    pieces = Calibration(items=8, batch=3).passes(pipe, Forward())
    joined = torch.cat([p.corrupted.x_t for p in pieces])
    assert torch.equal(whole[0].corrupted.x_t, joined)
    losses = [float(mean_loss(pipe.model, pipe.process, passes)) for passes in (whole, pieces)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_mean_loss_is_that_of_the_process():
    pipe = pipeline()
    (one,) = Calibration(items=6, batch=6).passes(pipe, Digits().open("train"))
    output = pipe.model(one.corrupted.x_t, one.time, one.cond)
    by_hand = (output.pred - (one.corrupted.noise - one.corrupted.x0)).square().mean()
    torch.testing.assert_close(mean_loss(pipe.model, pipe.process, [one]), by_hand)


def test_handlers_take_part_and_leave():
    pipe = pipeline()
    (one,) = Calibration(items=4, batch=4).passes(pipe, Digits().open("train"))
    plain = run_pass(pipe.model, one).pred
    assert not torch.equal(run_pass(pipe.model, one, skip_blocks([0])).pred, plain)
    assert torch.equal(run_pass(pipe.model, one).pred, plain)


def test_small_sets_are_used_whole_and_missing_labels_are_named():
    pipe, size = pipeline(), Digits().open("train").info.size
    passes = Calibration(items=10**6, batch=4096).passes(pipe, Digits().open("train"))
    assert sum(len(p.step.sample) for p in passes) == size
    with pytest.raises(FrisketError, match="reads 'label'"):
        Calibration(items=4).passes(pipe, Forward(labels=False))
    with pytest.raises(FrisketError, match=r"calibration\.items"):
        Calibration(items=0)

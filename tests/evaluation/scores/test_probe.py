"""The linear probe of blocks."""

from __future__ import annotations

import pytest
import torch
from aligning import SIX
from small_models import pipeline

from frisket.core.errors import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.evaluation.scores.probe import Probe, accuracy
from frisket.testing import check_config


def test_ridge_regression_reads_what_is_linear_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=generator, dtype=torch.float64)
    labels = (x[:, 0] * 3 + x[:, 1] > 0).long()
    assert accuracy(x[:300], labels[:300], x[300:], labels[300:], 2, 1e-3) > 0.9
    chance = torch.randint(0, 2, (400,), generator=generator)
    assert 0.3 < accuracy(x[:300], chance[:300], x[300:], chance[300:], 2, 1e-3) < 0.7


def test_blocks_are_read_at_a_noise_level_with_the_class_dropped():
    check_config(Probe())
    pipe = pipeline(config=SIX)
    score = Probe(items=300, t=0.0)
    found = score.blocks(pipe, Digits(), 120, 0)
    assert found.shape == (6,)
    assert ((found >= 0) & (found <= 1)).all()
    both = score.take(pipe, Digits(), 120, 0)
    assert both["probe"] == pytest.approx(float(found.mean()))
    assert both["probe_best"] == pytest.approx(float(found.max()))
    assert both["probe_best"] > 0.3  # random features of clean digits
    assert both["probe_best"] > Probe(items=300, t=1.0).take(pipe, Digits(), 120, 0)["probe_best"] + 0.1
    with torch.no_grad():
        pipe.model.doors.embedders["label"].table.weight[:10].normal_(0, 50)
    torch.testing.assert_close(score.blocks(pipe, Digits(), 120, 0), found)


def test_data_without_classes_and_bad_numbers_are_refused():
    pipe = pipeline(config=SIX)
    pipe.info = Info(kind="image", shape=(1, 8, 8))
    with pytest.raises(FrisketError, match="classes of the data"):
        Probe().blocks(pipe, Digits(), 8, 0)
    for changes in ({"t": 2.0}, {"items": 1}, {"penalty": 0.0}):
        with pytest.raises(FrisketError, match=r"score\."):
            Probe(**changes)

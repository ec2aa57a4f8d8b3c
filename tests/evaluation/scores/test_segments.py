"""Segment scores: the truth is perfect, and what cannot be measured is refused."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.evaluation.scores.base import score_of
from frisket.evaluation.scores.segments import SegmentScore, test_batches, things
from frisket.experiments.measures import take
from frisket.experiments.system import build
from frisket.recipes import dit, mask2former
from frisket.sampling.segmenter import Segmented, Segmenter
from frisket.sampling.segments import Instances, Panoptic

test_batches.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def system():
    experiment = mask2former.experiment("tiny").fit()
    return build(experiment)[1], experiment.data


def truth(self, images, **kwargs):
    batch = mask2former.scenes(32).open("test").batch(torch.arange(len(images)))
    assert torch.equal(batch["x"], images)
    found = []
    for named, own in zip(batch["semantic"], batch["instances"], strict=True):
        classes, masks = things(named, own, (0,))
        found.append(Instances(classes, torch.ones(len(classes)), masks))
    return Segmented(batch["semantic"], Panoptic(batch["semantic"], batch["instances"]), found)


def test_the_truth_scores_one(system, monkeypatch):
    monkeypatch.setattr(Segmenter, "segment", truth)
    assert SegmentScore().take(*system, 6, 0) == pytest.approx(dict.fromkeys(SegmentScore.gives, 1.0))


def test_fresh_weights_score_little_and_equal_twice(system):
    one = SegmentScore().take(*system, 4, 0)
    assert set(one) == set(SegmentScore.gives)
    assert all(0 <= v < 0.5 for v in one.values())
    assert SegmentScore().take(*system, 4, 1) == one


def test_studies_find_it_by_its_measures(system):
    assert score_of("miou") is SegmentScore
    assert set(take(*system, ("pq", "ap"), n=2)) == {"pq", "ap"}


def test_things_are_countable_segments():
    named, own = torch.tensor([[0, 2, 2], [1, -1, 2]]), torch.tensor([[0, 1, 1], [2, 0, 3]])
    classes, masks = things(named, own, (0,))
    assert classes.tolist() == [1, 2, 2]
    assert masks.sum((1, 2)).tolist() == [1, 2, 1]


def test_other_pipelines_and_data_are_refused(system):
    with pytest.raises(FrisketError, match="names masks"):
        SegmentScore().take(build(dit.experiment("tiny").fit())[1], system[1], 2, 0)
    with pytest.raises(FrisketError, match="'semantic'"):
        test_batches(Digits(), 2)
    with pytest.raises(FrisketError, match="n = 0"):
        test_batches(system[1], 0)

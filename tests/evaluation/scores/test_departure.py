"""Departure: zero for equal models, relative, the same whatever the batch; refused without a start."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.evaluation.scores.base import PairedScore, score_of
from frisket.evaluation.scores.departure import Departure
from frisket.experiments.measures import take


def test_equal_models_do_not_depart():
    assert isinstance(Departure(), PairedScore)
    assert score_of("departure") is Departure
    assert Departure().beside(pipeline(), pipeline(), Digits(), 5, 0) == {"departure": 0.0}


def test_it_is_the_relative_distance_of_final_states():
    changed, start = pipeline(2), pipeline(1)
    found = Departure().beside(changed, start, Digits(), 3, 7)["departure"]
    states = []
    for pipe in (changed, start):
        *_, last = pipe.snapshots(3, seed=7, **pipe.in_turn(3))
        states.append(last.x)
    gap = (states[0] - states[1]).flatten(1).norm(dim=1) / states[1].flatten(1).norm(dim=1)
    assert found == pytest.approx(gap.mean().item(), rel=1e-5)
    assert found > 0


def test_the_changed_pipelines_sampler_is_used_for_both():
    changed, start = pipeline(2, steps=2), pipeline(1, steps=7)
    one = Departure().beside(changed, start, Digits(), 2, 0)
    start.sampler = changed.sampler
    assert one == Departure().beside(changed, start, Digits(), 2, 0)


def test_a_study_takes_it_with_a_start_only():
    found = take(pipeline(2), Digits(), ["departure"], n=2, start=pipeline(1))
    assert found["departure"] > 0
    with pytest.raises(FrisketError, match="compares with a start"):
        take(pipeline(2), Digits(), ["departure"], n=2)
    assert torch.is_grad_enabled()

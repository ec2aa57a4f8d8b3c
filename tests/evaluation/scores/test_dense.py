from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.caching.intervals import Interval
from frisket.core import FrisketError
from frisket.evaluation.scores.dense import Dense, relative_distance
from frisket.experiments.system import build
from frisket.recipes import dit
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler

STEPS = 8


@pytest.fixture(scope="module")
def pipeline():
    _, pipeline, _ = build(dit.experiment("tiny").fit())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in pipeline.model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return pipeline


def taken(pipeline, **changes):
    pipeline.sampler = replace(Sampler(steps=STEPS, guidance=cfg(1.5)), **changes)
    return Dense(steps=STEPS).take(pipeline, dit.experiment("tiny").data, n=3, seed=0)


def test_the_dense_run_is_at_no_distance_and_costs_all(pipeline):
    assert taken(pipeline) == {"dense_distance": 0.0, "compute": 1.0, "full_forwards": float(STEPS) * 2}


def test_fewer_steps_cost_their_share(pipeline):
    found = taken(pipeline, steps=STEPS // 2)
    assert found["compute"] == 0.5
    assert found["dense_distance"] > 0


def test_a_cache_costs_what_its_report_says(pipeline):
    found = taken(pipeline, caches=(Interval(every=3),))
    assert found["full_forwards"] == 2 * Interval(every=3).full_steps(STEPS)
    assert found["full_forwards"] / (2 * STEPS) < found["compute"] < 1
    assert found["dense_distance"] > 0


def test_savings_of_several_caches_add_up(pipeline):
    attn, ffn = (Interval(every=3, sites=(name,)) for name in ("attn", "ffn"))
    saved = [1 - taken(pipeline, caches=caches)["compute"] for caches in ((attn,), (ffn,), (attn, ffn))]
    assert saved[0] + saved[1] == pytest.approx(saved[2])


def test_distance_is_relative_and_by_row():
    x = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert relative_distance(x, x * 2).tolist() == pytest.approx([0.5, 0.5])


def test_steps_are_checked():
    with pytest.raises(FrisketError, match=r"score\.steps = 0"):
        Dense(steps=0)

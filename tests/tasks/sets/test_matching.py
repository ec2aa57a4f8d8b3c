"""Matching: optimal against brute force, and the official matcher's pairs."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.tasks.sets.matching import LeastCost, assign
from frisket.tasks.sets.segments import Segments

GOLDEN = Path(__file__).parents[2] / "golden" / "mask2former_functions.npz"
GENERATOR = torch.Generator().manual_seed(0)


@settings(max_examples=30, deadline=None)
@given(q=st.integers(1, 6), t=st.integers(0, 6), seed=st.integers(0, 1000))
def test_no_other_assignment_costs_less(q, t, seed):
    cost = torch.randn(q, t, generator=torch.Generator().manual_seed(seed))
    rows, columns = assign(cost)
    assert len(rows) == min(q, t)
    tall = cost if q >= t else cost.T
    best = min(sum(float(tall[i, j]) for j, i in enumerate(p)) for p in permutations(range(max(q, t)), min(q, t)))
    assert float(cost[rows, columns].sum()) == pytest.approx(best, abs=1e-5)


def golden():
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {k: torch.from_numpy(held[k]) for k in held.files}
    return g, Segments(g["target_classes"], g["target_masks"].float())


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_pairs_are_the_official_ones(layer):
    g, targets = golden()
    part = LeastCost(points=20)
    pairs = part.match(g[f"classes/{layer}"], g[f"masks/{layer}"], targets, g[f"match_points/{layer}"])
    found = torch.stack([pairs.row, pairs.prediction, pairs.target], 1)
    assert torch.equal(found, g[f"pairs/{layer}"])


def test_absent_targets_are_never_matched():
    g, targets = golden()
    pairs = LeastCost(points=20).match(g["classes/0"], g["masks/0"], targets, g["match_points/0"])
    assert bool(targets.present[pairs.row, pairs.target].all())
    assert len(pairs.row) == targets.count


def test_an_image_without_targets_matches_nothing():
    targets = Segments(torch.tensor([[-1]]), torch.zeros(1, 1, 4, 4))
    pairs = LeastCost(points=3).match(
        torch.zeros(1, 5, 3), torch.zeros(1, 5, 2, 2), targets, torch.rand(1, 3, 2, generator=GENERATOR)
    )
    assert len(pairs.row) == len(pairs.prediction) == len(pairs.target) == 0


def test_the_class_cost_is_minus_the_probability():
    targets = Segments(torch.tensor([[1]]), torch.zeros(1, 1, 4, 4))
    logits = torch.randn(1, 3, 3, generator=GENERATOR)
    cost = LeastCost(classes=2.0, masks=0.0, dice=0.0).costs(
        logits, torch.zeros(1, 3, 2, 2), targets, torch.rand(1, 5, 2, generator=GENERATOR)
    )
    torch.testing.assert_close(cost[0, :, 0], -2 * logits[0].softmax(-1)[:, 1])


@pytest.mark.parametrize("changes", [{"classes": -1.0}, {"classes": 0.0, "masks": 0.0, "dice": 0.0}])
def test_costs_that_order_nothing_are_refused(changes):
    with pytest.raises(FrisketError, match="matching weights"):
        LeastCost(**changes)
    with pytest.raises(FrisketError, match="matching.points"):
        LeastCost(points=0)

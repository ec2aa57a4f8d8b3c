"""Panoptic quality by hand and against torchmetrics' stored numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.evaluation.metrics.panoptic_quality import Tally, tally

GOLDEN = Path(__file__).parents[2] / "golden" / "segment_scores.npz"


def row(*values: int) -> torch.Tensor:
    return torch.tensor([values])


def scored(found, numbers, truth, own, classes=3):
    return tally(row(*found), row(*numbers), row(*truth), row(*own), classes)


def test_by_hand():
    # Ground of 4 found as 5; a thing of 4, of which 3 are found; a thing that is missed; one that is not there.
    found, numbers = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2), (1, 1, 1, 1, 1, 2, 2, 2, 3, 3)
    truth, own = (0, 0, 0, 0, 1, 1, 1, 1, 1, 1), (0, 0, 0, 0, 1, 1, 1, 1, 2, 2)
    out = scored(found, numbers, truth, own)
    assert out.matched.tolist() == [1, 1, 0]
    assert out.needless.tolist() == [0, 0, 1]
    assert out.missed.tolist() == [0, 1, 0]
    assert out.iou.tolist() == [0.8, 0.75, 0]
    scores = out.qualities()
    assert scores["pq"] == pytest.approx((0.8 + 0.75 / 1.5 + 0) / 3)
    assert scores["sq"] == pytest.approx((0.8 + 0.75 + 0) / 3)
    assert scores["rq"] == pytest.approx((1 + 1 / 1.5 + 0) / 3)


def test_half_an_overlap_is_no_match():
    out = scored((1, 1, 0), (1, 1, 2), (1, 0, 0), (1, 0, 0))
    assert out.matched.tolist()[1] == 0
    assert (out.needless[1], out.missed[1]) == (1, 1)


def test_pixels_without_truth_leave_the_union_and_excuse_what_lies_on_them():
    out = scored((1, 1, 1, 1, 2, 2), (1, 1, 1, 1, 2, 2), (1, 1, -1, -1, -1, -1), (1, 1, 0, 0, 0, 0))
    assert out.iou.tolist() == [0, 1, 0]
    assert out.needless.tolist() == [0, 0, 0]


def test_pixels_where_nothing_was_found_are_only_missed():
    out = scored((-1, -1), (0, 0), (1, 1), (1, 1))
    assert (float(out.missed[1]), float(out.needless.sum()), float(out.matched.sum())) == (1, 0, 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_truth_itself_is_perfect_and_numbers_are_only_names(seed):
    generator = torch.Generator().manual_seed(seed)
    named, own = (torch.randint(0, 3, (4, 5), generator=generator) for _ in range(2))
    scores = tally(named, 7 * own + 1, named, own, 3).qualities()
    assert scores == {"pq": 1.0, "sq": 1.0, "rq": 1.0}


def test_tallies_of_images_add_and_agree_with_torchmetrics():
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {k: torch.from_numpy(held[k]) for k in held.files}
    truth, own, found, numbers = (g[k].long() for k in ("semantic", "instances", "found_semantic", "found_instances"))
    total = Tally.empty(4)
    for i in range(len(truth)):  # as stored: without classes below 0, and stuff without numbers
        total += tally(
            found[i].clamp(min=0), numbers[i] * (found[i] > 0), truth[i].clamp(min=0), own[i] * (truth[i] > 0), 4
        )
    scores = total.qualities()
    assert [scores[n] for n in ("pq", "sq", "rq")] == pytest.approx(g["pq"].tolist(), abs=1e-6)


def test_nothing_has_no_quality_and_other_classes_are_refused():
    with pytest.raises(FrisketError, match="segments"):
        Tally.empty(3).qualities()
    with pytest.raises(FrisketError, match="found_classes = 3"):
        scored((3,), (0,), (0,), (0,))

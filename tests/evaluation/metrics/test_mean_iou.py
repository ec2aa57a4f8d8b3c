"""Mean IoU by hand and against torchmetrics' stored numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.evaluation.metrics.mean_iou import confusion, iou_of_classes, mean_iou

GOLDEN = Path(__file__).parents[2] / "golden" / "segment_scores.npz"


def test_by_hand():
    truth, found = torch.tensor([0, 0, 0, 1, 1, -1]), torch.tensor([0, 0, 1, 1, 0, 2])
    counts = confusion(found, truth, 3)
    assert counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    each = iou_of_classes(counts)
    assert each[:2].tolist() == [0.5, pytest.approx(1 / 3)]
    assert bool(each[2].isnan())  # neither there nor found
    assert mean_iou(counts) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_a_class_that_is_found_and_not_there_counts_as_zero():
    assert mean_iou(confusion(torch.tensor([0, 1]), torch.tensor([0, 0]), 3)) == pytest.approx(0.25)


def test_counts_of_parts_add():
    generator = torch.Generator().manual_seed(0)
    found, truth = (torch.randint(0, 4, (6, 5), generator=generator) for _ in range(2))
    whole = confusion(found, truth, 4)
    assert torch.equal(whole, confusion(found[:2], truth[:2], 4) + confusion(found[2:], truth[2:], 4))
    assert int(whole.sum()) == 30


def test_against_torchmetrics():
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {k: torch.from_numpy(held[k]) for k in ("semantic", "found_semantic", "iou")}
    each = iou_of_classes(confusion(g["found_semantic"].long().clamp(min=0), g["semantic"].long(), 4))
    torch.testing.assert_close(each, g["iou"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("found", "truth"), [([3], [0]), ([0], [3]), ([-1], [0])])
def test_other_classes_are_refused(found, truth):
    with pytest.raises(FrisketError, match="classes in 0..2"):
        confusion(torch.tensor(found), torch.tensor(truth), 3)


def test_nothing_has_no_mean():
    with pytest.raises(FrisketError, match="pixels"):
        mean_iou(confusion(torch.tensor([0]), torch.tensor([-1]), 2))

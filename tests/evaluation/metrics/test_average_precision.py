"""Average precision by hand and against pycocotools' stored numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.evaluation.metrics.average_precision import average_precision, judge, mask_iou, precision_over_recall

GOLDEN = Path(__file__).parents[2] / "golden" / "segment_scores.npz"


def masks(*rows):
    return torch.tensor(rows, dtype=torch.bool)[:, None]


def image(names, scores, drawn, true_names, true):
    return torch.tensor(names), torch.tensor(scores), drawn, torch.tensor(true_names), true


def test_iou_by_hand():
    found = mask_iou(masks([1, 1, 0, 0], [0, 0, 0, 0]), masks([1, 1, 1, 0], [0, 0, 0, 0]))
    assert found[0].tolist() == [pytest.approx(2 / 3), 0]
    assert found[1].tolist() == [0, 0]


def test_every_true_instance_answers_one_prediction():
    judged = judge(torch.tensor([0.5, 0.9]), torch.tensor([[0.9], [0.8]]).double(), thresholds=(0.5, 0.85))
    assert judged.scores.tolist() == pytest.approx([0.9, 0.5])
    assert judged.hits.tolist() == [[True, False], [False, True]]


def test_by_hand():
    # Three predictions, best first: right, wrong, right; two true. Precision 1 up to recall 1/2, 2/3 up to recall 1.
    judged = judge(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([[1.0, 0], [0, 0], [0, 1]]).double(), thresholds=(0.5,))
    assert precision_over_recall([judged])[0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_the_truth_itself_is_perfect_and_nothing_is_zero():
    true = masks([1, 1, 0, 0], [0, 0, 1, 1])
    perfect = image([0, 1], [0.4, 0.3], true, [0, 1], true)
    assert average_precision([perfect]) == {"ap": 1.0, "ap50": 1.0}
    empty = image([], [], true[:0], [0, 1], true)
    assert average_precision([(empty[0].long(), *empty[1:])]) == {"ap": 0.0, "ap50": 0.0}


def test_only_the_best_are_looked_at():
    true = masks([1, 1, 0, 0])
    one = image([0, 0], [0.9, 0.1], masks([0, 0, 1, 1], [1, 1, 0, 0]), [0], true)
    assert average_precision([one], most=1)["ap"] == 0
    assert average_precision([one], most=2)["ap"] == pytest.approx(0.5)


def test_classes_without_a_true_instance_are_left_out():
    true = masks([1, 1, 0, 0])
    assert average_precision([image([0, 5], [0.9, 0.8], masks([1, 1, 0, 0], [0, 0, 1, 1]), [0], true)])["ap"] == 1


def golden_images():
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {k: torch.from_numpy(held[k]) for k in held.files}
    out = []
    for i in range(len(g["semantic"])):
        truth, own = g["semantic"][i].long(), g["instances"][i].long()
        pairs = sorted({p for p in zip(truth.flatten().tolist(), own.flatten().tolist(), strict=True) if p[0] > 0})
        drawn = torch.stack([(truth == c) & (own == k) for c, k in pairs])
        mine = g["det_image"] == i
        names = torch.tensor([c for c, _ in pairs])
        out.append((g["det_class"][mine], g["det_score"][mine], g["det_mask"][mine], names, drawn))
    return out, g["ap"].tolist(), g["ap_thresholds"].numpy()


def test_against_pycocotools():
    images, wanted, each = golden_images()
    found = average_precision(images)
    assert [found["ap"], found["ap50"]] == pytest.approx(wanted, abs=1e-9)
    for k, threshold in enumerate(np.linspace(0.5, 0.95, 10)):
        assert average_precision(images, thresholds=(float(threshold),))["ap"] == pytest.approx(each[k], abs=1e-9)


def test_the_order_of_images_changes_nothing():
    images, _, _ = golden_images()
    assert average_precision(images[::-1])["ap"] == pytest.approx(average_precision(images)["ap"], abs=1e-9)


def test_nothing_to_find_has_no_precision():
    with pytest.raises(FrisketError, match="true instances"):
        average_precision([image([0], [0.5], masks([1, 1]), [], masks([1, 1])[:0])])

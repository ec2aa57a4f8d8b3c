"""Readings of predictions: by hand, and as the official inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.sampling.segments import Merge, enlarge, merge_panoptic, read_instances, semantic_scores

GOLDEN = Path(__file__).parent.parent / "golden" / "mask2former_functions.npz"
SURE = 40.0
MERGE = Merge(score=0.8, overlap=0.8)


def golden():
    with np.load(GOLDEN, allow_pickle=False) as held:
        return {k.removeprefix("read/"): torch.from_numpy(held[k]) for k in held.files if k.startswith("read/")}


def classes(*names: int, count: int = 3) -> torch.Tensor:
    return SURE * torch.eye(count + 1)[list(names)]


def masks(*rows: list[int]) -> torch.Tensor:
    return SURE * (2 * torch.tensor(rows).float()[:, None] - 1)  # (q, 1, w)


def test_semantic_scores_are_the_official_ones():
    g = golden()
    got = semantic_scores(g["classes"][None], g["masks"][None])[0]
    torch.testing.assert_close(got, g["semantic"], rtol=1e-5, atol=1e-5)


def test_instances_are_the_official_ones():
    g = golden()
    got = read_instances(g["classes"], g["masks"], stuff=(0, 1), most=15)
    order = g["scores"].argsort(descending=True)
    torch.testing.assert_close(got.scores, g["scores"][order], rtol=1e-5, atol=1e-5)
    assert torch.equal(got.classes, g["named"][order])
    assert torch.equal(got.masks, g["found"][order])


def test_the_panoptic_map_is_the_official_one():
    g = golden()
    got = merge_panoptic(g["classes"], g["masks"], merge=Merge(score=0.8, overlap=0.4), stuff=(0, 1))
    assert torch.equal(got.segments, g["panoptic"].long())
    for number, name in g["names"].tolist():
        assert set(got.classes[got.segments == number].tolist()) == {name}
    assert bool((got.classes[got.segments == 0] == -1).all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_votes_of_all_classes_are_at_most_the_masks(seed):
    generator = torch.Generator().manual_seed(seed)
    named, drawn = torch.randn(1, 4, 6, generator=generator), torch.randn(1, 4, 3, 3, generator=generator)
    votes = semantic_scores(named, drawn)
    assert bool((votes >= 0).all())
    assert bool((votes.sum(1) <= drawn.sigmoid().sum(1) + 1e-6).all())


def test_things_are_told_apart_and_stuff_is_one():
    named, drawn = (
        classes(1, 1, 0, 0, 3),
        masks([1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]),
    )
    got = merge_panoptic(named, drawn, merge=MERGE, stuff=(0,))
    assert got.segments.tolist() == [[1, 2, 3, 3, 0]]
    assert got.classes.tolist() == [[1, 1, 0, 0, -1]]


def test_what_keeps_too_little_of_its_mask_is_dropped():
    named = classes(1, 2)
    named[1] *= 0.06  # less sure, but above the score
    drawn = masks([1, 1, 1, 0], [1, 1, 1, 1])
    dropped = merge_panoptic(named, drawn, merge=Merge(score=0.7, overlap=0.8))
    assert dropped.segments.tolist() == [[1, 1, 1, 0]]
    kept = merge_panoptic(named, drawn, merge=Merge(score=0.7, overlap=0.2))
    assert kept.segments.tolist() == [[1, 1, 1, 2]]


def test_the_unsure_are_not_drawn():
    got = merge_panoptic(torch.zeros(2, 4), masks([1, 1], [1, 0]), merge=MERGE)
    assert got.classes.tolist() == [[-1, -1]]
    assert got.segments.tolist() == [[0, 0]]


def test_an_instance_scores_its_class_times_its_mask():
    drawn = masks([1, 1, 0, 0])
    drawn[0, 0, 1] = float(np.log(3))  # probability 3 / 4
    got = read_instances(classes(2), drawn, most=1)
    assert float(got.scores[0]) == pytest.approx(0.875, rel=1e-5)
    assert got.masks.tolist() == [[[True, True, False, False]]]
    assert got.classes.tolist() == [2]


def test_instances_leave_out_stuff_and_come_best_first():
    named = torch.tensor([[2.0, 1.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0]])
    got = read_instances(named, masks([1, 0], [0, 1]), stuff=(0,))
    assert 0 not in got.classes.tolist()
    assert got.scores.tolist() == sorted(got.scores.tolist(), reverse=True)
    assert len(got.scores) == 4


def test_an_empty_mask_scores_nothing():
    assert float(read_instances(classes(1), masks([0, 0]), most=1).scores[0]) == 0


def test_masks_are_enlarged_without_moving():
    small = torch.zeros(1, 1, 2, 2)
    small[..., 0] = 1
    large = enlarge(small, (8, 8))
    torch.testing.assert_close(large + large.flip(-1), torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize("field", ["score", "overlap"])
def test_bad_fields_are_named(field):
    with pytest.raises(FrisketError, match=f"merge.{field}"):
        Merge(**{field: 1.2})

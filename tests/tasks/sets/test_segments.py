"""Segments of labelled images."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.tasks.sets.segments import segments_of

SEMANTIC = torch.tensor([[[0, 0, 2], [1, 1, 2]], [[0, -1, 0], [0, 0, 0]]])
INSTANCES = torch.tensor([[[0, 0, 1], [2, 3, 1]], [[0, 0, 0], [0, 0, 0]]])


def test_a_segment_is_what_shares_class_and_thing():
    found = segments_of({"semantic": SEMANTIC, "instances": INSTANCES}, 3)
    assert found.classes.tolist() == [[0, 2, 1, 1], [0, -1, -1, -1]]
    assert found.count == 5
    assert found.masks[0].sum((1, 2)).tolist() == [2, 2, 1, 1]
    assert found.masks[1, 0].tolist() == [[1, 0, 1], [1, 1, 1]]  # without ground truth: in no segment
    assert not bool(found.masks[1, 1:].any())


def test_without_things_a_segment_is_a_class():
    found = segments_of({"semantic": SEMANTIC}, 3)
    assert found.classes.tolist() == [[0, 1, 2], [0, -1, -1]]
    assert found.masks[0].sum((1, 2)).tolist() == [2, 2, 2]


def test_an_image_without_ground_truth_has_no_segment():
    found = segments_of({"semantic": torch.full((1, 2, 2), -1)}, 3)
    assert found.count == 0
    assert found.classes.tolist() == [[-1]]


def test_segments_of_scenes_part_the_image():
    batch = (
        Scenes(size=(16, 16), views=("semantic", "instances"), dial=Dial(objects=(1, 4))).open().batch(torch.arange(8))
    )
    found = segments_of(batch, 21)
    assert bool((found.masks.sum(1) == 1).all())
    whole = (found.masks * found.classes[..., None, None]).sum(1)
    assert torch.equal(whole.long(), batch["semantic"])


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="'semantic'"):
        segments_of({"x": SEMANTIC}, 3)
    with pytest.raises(FrisketError, match="below the model's 2 classes"):
        segments_of({"semantic": SEMANTIC}, 2)

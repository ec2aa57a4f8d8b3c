import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Scene, draw, table_of
from frisket.data.scenes.holes import boxes, object_holes, strokes
from frisket.data.scenes.layers import layers

IDS = torch.arange(12)
SEEN = layers(draw(0, IDS, "train", Dial(overlap=0.9)), (24, 32))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 1.0), st.integers(8, 40), st.integers(8, 40), st.integers(0, 1000))
def test_boxes_are_solid_and_near_their_area(area, h, w, seed):
    m = boxes(seed, IDS, (h, w), area)
    assert m.shape == (12, 1, h, w)
    for one in m[:, 0]:
        rows, columns = one.any(1).sum(), one.any(0).sum()
        assert one.sum() == rows * columns
        assert abs(one.sum() - area * h * w) <= (rows + columns) / 2 + 1


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 1.0), st.integers(0, 1000))
def test_strokes_have_exactly_their_area(area, seed):
    m = strokes(seed, IDS, (20, 28), area)
    assert m.sum((1, 2, 3)).unique().tolist() == [max(1, round(area * 560))]


def test_object_holes_are_one_object_or_grow_from_it():
    own = object_holes(SEEN, 0, IDS)
    for i in range(12):
        matches = [torch.equal(own[i, 0], v > 0.5) for v in SEEN.visible[i]]
        assert sum(matches) == 1
    for area in (0.01, 0.3):
        grown = object_holes(SEEN, 0, IDS, area)
        assert grown.sum((1, 2, 3)).unique().tolist() == [round(area * 24 * 32)]
        ordered = (grown | ~own) if area > 0.2 else (own | ~grown)  # contains it, or lies in it
        assert ordered[own.float().mean((1, 2, 3)) > 0.012].all()


def test_holes_depend_on_seed_and_id_alone():
    for make in (boxes, strokes):
        together = make(3, IDS, (16, 16), 0.25)
        assert torch.equal(make(3, IDS[5:6], (16, 16), 0.25)[0], together[5])
        assert not torch.equal(make(4, IDS, (16, 16), 0.25), together)
    assert len({tuple(m.flatten().tolist()) for m in boxes(0, IDS, (16, 16), 0.25)}) > 8


def test_bad_areas_and_empty_scenes_are_refused():
    for area in (0.0, 1.5):
        with pytest.raises(FrisketError, match="area"):
            boxes(0, IDS, (8, 8), area)
        with pytest.raises(FrisketError, match="area"):
            object_holes(SEEN, 0, IDS, area)
    with pytest.raises(FrisketError, match="visible object"):
        object_holes(layers(table_of([Scene()]), (8, 8)), 0, torch.arange(1))

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.scenes import Object, Scene, draw, scenes_of, table_of
from frisket.data.scenes.table import bounce


def test_records_and_tables_are_the_same_thing():
    scenes = scenes_of(draw(3, torch.arange(20), "test", aspect=1.5))
    assert scenes_of(table_of(scenes)) == scenes
    assert {len(s.objects) for s in scenes} == {1, 2, 3}


def test_a_scene_without_objects_is_a_row():
    table = table_of([Scene(), Scene(objects=(Object(label=3),))])
    assert table.present.tolist() == [[False], [True]]


def test_scenes_of_other_aspects_do_not_mix():
    with pytest.raises(FrisketError, match="aspect"):
        table_of([Scene(), Scene(aspect=2.0)])
    with pytest.raises(FrisketError, match="at least one"):
        table_of([])


@settings(max_examples=50, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(-5, 5), st.floats(0.01, 0.5))
def test_bounce_stays_inside_and_keeps_its_pace(start, moved, limit):
    x, m, e = (torch.tensor([v], dtype=torch.float64) for v in (start, moved, limit))
    out = bounce(x, m, e)
    assert out.abs() <= max(abs(start), limit, 1e-6) + 1e-9
    assert (bounce(x, m + 1e-4, e) - out).abs() <= 1e-4 + 1e-9
    assert torch.equal(bounce(x, torch.zeros_like(m), e), x)


def test_at_moves_by_the_velocity_until_the_border():
    ball = Object(label=10, centre=(0.3, 0.0), size=0.2, velocity=(0.05, 0.01))
    table = table_of([Scene(objects=(ball,))])
    x = [table.at(f).objects["x"].item() for f in range(5)]
    assert x == pytest.approx([0.3, 0.35, 0.4, 0.35, 0.3])
    assert table.at(4).objects["y"].item() == pytest.approx(0.04)
    assert replace(table).at(0).objects["x"] is table.objects["x"]

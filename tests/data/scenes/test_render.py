import sys

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import draw, draw_scene, render, render_table
from frisket.data.scenes.render import NAMES


def test_a_picture_does_not_depend_on_its_batch():
    table = draw(0, torch.arange(12), "train")
    together = render_table(table, (32, 32), NAMES)
    for i in (0, 5, 11):
        alone = render_table(draw(0, torch.tensor([i]), "train"), (32, 32), NAMES)
        for name in NAMES:
            assert torch.equal(alone[name][0], together[name][i]), name


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        ("rgb", (3, 20, 30)), ("semantic", (20, 30)), ("instances", (20, 30)), ("palette", (20, 30)),
        ("depth", (1, 20, 30)), ("normals", (3, 20, 30)), ("alpha", (1, 20, 30)), ("edges", (1, 20, 30)),
        ("mask", (1, 20, 30)), ("flow", (2, 20, 30)), ("voxels", (20, 20, 30)), ("points", (256, 4)),
    ],
)  # fmt: skip
def test_views_and_their_shapes(view, shape):
    assert render(draw_scene(0, 1, "test"), (20, 30), view).shape == shape


def test_frames_move_on():
    scene = draw_scene(0, 2, "train")
    assert not torch.equal(render(scene, (32, 32)), render(scene, (32, 32), frame=5))
    assert torch.equal(render(scene, (32, 32)), render(scene, (32, 32), frame=0))


def test_unknown_views_are_refused_before_any_work():
    with pytest.raises(FrisketError, match="view"):
        render_table(draw(0, torch.arange(1), "train"), (8, 8), ("rgb", "smell"))


def test_a_large_batch_is_rendered_in_parts_with_the_same_result(monkeypatch):
    table = draw(3, torch.arange(10), "test")
    whole = render_table(table, (16, 16), NAMES)
    monkeypatch.setattr(sys.modules["frisket.data.scenes.render"], "CHUNK", 3 * 16 * 16 * 4)
    parts = render_table(table, (16, 16), NAMES)
    for name in NAMES:
        assert torch.equal(whole[name], parts[name]), name

import math

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Ground, Light, Object, Scene, draw, render, render_table, table_of
from frisket.data.scenes.layers import layers
from frisket.data.scenes.views import BULGE, VIEWS, edges, flow, shade, view
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB, GROUNDS

DISC = Object(label=10, colour=2, centre=(0.05, -0.1), size=0.3, depth=0.4)
SCENE = Scene(objects=(DISC,), ground=Ground(colour=1), light=Light(elevation=math.pi / 2))


def test_colours_are_those_of_the_palette():
    x = render(SCENE, (40, 40))
    torch.testing.assert_close(x[:, 0, 0], torch.tensor(GROUND_RGB[1]))
    i, j = round(40 * 0.4 - 0.5), round(40 * 0.55 - 0.5)  # the disc's centre faces eye and light
    torch.testing.assert_close(x[:, i, j], torch.tensor(COLOUR_RGB[2]), atol=5e-3, rtol=0)


def test_names_of_pixels_agree_with_each_other():
    table = draw(2, torch.arange(16), "train", Dial(overlap=0.8))
    r = render_table(table, (32, 32), ("instances", "semantic", "palette", "mask", "alpha"))
    i = r["instances"]
    label = torch.cat([torch.zeros(16, 1, dtype=torch.int64), table.objects["label"] + 1], 1)
    colour = torch.cat([table.ground["colour"][:, None], table.objects["colour"] + len(GROUNDS)], 1)
    assert torch.equal(r["semantic"], label.gather(1, i.flatten(1)).view_as(i))
    assert torch.equal(r["palette"], colour.gather(1, i.flatten(1)).view_as(i))
    assert torch.equal(r["mask"], r["alpha"] > 0.5)
    assert i[r["mask"][:, 0]].min() >= 0
    assert (i[r["alpha"][:, 0] == 1] > 0).all()
    assert (i[r["alpha"][:, 0] == 0] == 0).all()


def test_normals_are_the_slope_of_depth():
    n, size = 128, (128, 128)
    depth, normal = render(SCENE, size, "depth")[0].double(), render(SCENE, size, "normals").double()
    inside = layers(table_of([SCENE]), size).cover[0, 0] == 1
    inside = inside[1:-1, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2] & inside[2:, 1:-1] & inside[:-2, 1:-1]
    slope_x = (depth[1:-1, 2:] - depth[1:-1, :-2]) * n / 2
    slope_y = (depth[2:, 1:-1] - depth[:-2, 1:-1]) * n / 2
    torch.testing.assert_close(normal.norm(dim=0), torch.ones(size, dtype=torch.float64))
    inner = normal[:, 1:-1, 1:-1]
    torch.testing.assert_close((inner[0] / inner[2])[inside], slope_x[inside], atol=2e-3, rtol=0)
    torch.testing.assert_close((inner[1] / inner[2])[inside], slope_y[inside], atol=2e-3, rtol=0)


def test_shade_is_lambert_light_on_the_normals():
    lit = Scene(objects=(DISC,), light=Light(azimuth=-2.0, elevation=0.8))
    seen = layers(table_of([lit]), (64, 64))
    normal = render(lit, (64, 64), "normals")
    towards = torch.tensor([math.cos(0.8) * math.cos(-2.0), math.cos(0.8) * math.sin(-2.0), math.sin(0.8)])
    facing = torch.einsum("c,chw->hw", towards, normal).clamp(min=0) / math.sin(0.8)
    inside = seen.cover[0, 0] == 1
    torch.testing.assert_close(shade(seen)[0, 0][inside], 0.45 + 0.55 * facing[inside], atol=1e-5, rtol=1e-5)


def test_depth_is_the_ground_or_the_bulging_object():
    d = render(SCENE, (101, 101), "depth")[0]
    assert d[0, 0] == 1
    assert d[40, 55].item() == pytest.approx(0.4 - BULGE / 2 * 0.3, abs=1e-3)


def test_edges_lie_between_different_things():
    box = Object(label=11, centre=(0.0, 0.0), size=0.25)
    e = edges(layers(table_of([Scene(objects=(box,))]), (16, 16)))[0, 0]
    assert e[3].sum() == 8
    assert e[8].nonzero()[:, 0].tolist() == [3, 11]
    assert not edges(layers(table_of([Scene()]), (16, 16))).any()


def test_flow_is_the_motion_in_pixels():
    ball = Object(label=10, size=0.2, velocity=(0.05, -0.025))
    table = table_of([Scene(objects=(ball,))])
    f = flow(layers(table, (40, 40)), layers(table.at(1), (40, 40)))[0]
    torch.testing.assert_close(f[:, 20, 20], torch.tensor([2.0, -1.0]))
    assert f[:, 0, 0].tolist() == [0.0, 0.0]
    now, later = (render(Scene(objects=(ball,)), (40, 40), "alpha", frame)[0] for frame in (0, 1))
    torch.testing.assert_close(now[2:, :-2], later[1:-1, 2:], atol=2e-3, rtol=0)


def test_light_dims_the_whole_picture():
    bright, dim = (
        render(Scene(objects=(DISC,), light=Light(elevation=1.2, level=level)), (16, 16)) for level in (1.0, 0.5)
    )
    torch.testing.assert_close(dim, bright / 2)


def test_pictures_stay_in_range_and_every_view_has_a_row_a_scene():
    table = draw(7, torch.arange(64), "train", Dial(contrast=1.0))
    for name in VIEWS:
        out = render_table(table, (17, 23), (name,))[name]
        assert out.shape[0] == 64
        assert out.shape[-2:] == (17, 23)
        if name == "rgb":
            assert out.min() >= 0
            assert out.max() <= 1


def test_unknown_views_are_named():
    with pytest.raises(FrisketError, match="did you mean 'depth'"):
        view("dept")

import pytest
import torch

from frisket.data.scenes import Object, Scene, draw, table_of
from frisket.data.scenes.layers import layers
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.solid import points, voxels, winding

DISC = Object(label=10, centre=(0.1, 0.0), size=0.25, depth=0.25)


def test_voxels_fill_the_volume_of_the_solid():
    v = voxels(layers(table_of([Scene(objects=(DISC,))]), (32, 32)))
    assert v.shape == (1, 32, 32, 32)
    assert v.sum() / 32**3 == pytest.approx(3.1365 * 0.25**2 * 0.25, rel=1e-2)
    assert v[0, :8].eq(0).all()
    assert v[0, 16:].eq(0).all()


def test_seen_from_the_front_voxels_are_the_alpha():
    seen = layers(draw(0, torch.arange(6), "train"), (16, 16))
    front = voxels(seen, slices=64).amax(1)
    cover = 1 - (1 - seen.cover).prod(1)
    assert (front <= cover + 1e-5).all()
    assert ((cover == 1) == (front > 0.9995)).all()


def test_points_lie_inside_their_objects():
    table = draw(0, torch.arange(8), "test")
    cloud = points(table, 200)
    assert cloud.shape == (8, 200, 4)
    for i in range(8):
        for j in range(int(table.present[i].sum())):
            p = cloud[i][cloud[i, :, 3] == j].double()
            o = {name: v[i, j] for name, v in table.objects.items()}
            x, y = p[:, 0] - o["x"], p[:, 1] - o["y"]
            cos, sin = o["angle"].cos() / o["size"], o["angle"].sin() / o["size"]
            edges, _ = outlines().gather(outlines().index(o["label"], o["instance"])[None])
            held = winding(torch.stack([cos * x + sin * y, cos * y - sin * x], -1), edges.double())
            assert held.double().mean() > 0.98  # float32 may move a point over the border
            assert (p[:, 2] >= o["depth"] - 1e-6).all()
            assert (p[:, 2] <= o["depth"] + o["size"] + 1e-6).all()


def test_points_are_shared_by_area():
    small = Object(label=11, size=0.1, depth=0.5, centre=(-0.3, 0.0))
    large = Object(label=11, size=0.2, depth=0.6, centre=(0.2, 0.0))
    cloud = points(table_of([Scene(objects=(small, large))]), 500)[0]
    assert (cloud[:, 3] == 0).sum() == 100


def test_an_empty_scene_has_empty_solids():
    table = table_of([Scene()])
    assert points(table, 10).eq(0).all()
    assert voxels(layers(table, (4, 4))).eq(0).all()

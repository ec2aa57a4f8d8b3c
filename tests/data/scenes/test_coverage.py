import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.data.scenes.coverage import coverage
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.solid import winding


def polygon(points):
    p = torch.tensor(points, dtype=torch.float32)
    return torch.cat([p, p.roll(-1, 0)], 1)


def box(x0, y0, x1, y1):
    return polygon([(x0, y0), (x0, y1), (x1, y1), (x1, y0)])


def one(edges, size):
    return coverage(edges, torch.zeros(len(edges), dtype=torch.int64), 1, size)[0]


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 9), st.floats(-3, 9), st.floats(0.01, 12), st.floats(0.01, 12))
def test_boxes_cover_the_product_of_their_overlaps(x, y, w, h):
    found = one(box(x, y, x + w, y + h), (6, 8))
    i, j = np.arange(6), np.arange(8)
    rows = np.clip(np.minimum(i + 1, y + h) - np.maximum(i, y), 0, 1)
    columns = np.clip(np.minimum(j + 1, x + w) - np.maximum(j, x), 0, 1)
    np.testing.assert_allclose(found.numpy(), rows[:, None] * columns, atol=1e-3)


@pytest.mark.parametrize("which", [0, 4, 7, 8, 10, 123, 1500])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_outlines_cover_what_supersampling_counts(which, angle):
    """Against 24x24 point samples a pixel; a border that crosses the pixel costs the reference about 1 / 24."""
    edges, _ = outlines().gather(torch.tensor([which]))
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float32)
    edges = (edges.view(-1, 2, 2) @ turn.T * 4.3 + torch.tensor([5.1, 4.7])).flatten(1)
    n, (h, w) = 24, (9, 11)
    y, x = torch.meshgrid((torch.arange(h * n) + 0.5) / n, (torch.arange(w * n) + 0.5) / n, indexing="ij")
    inside = winding(torch.stack([x, y], -1).view(-1, 2), edges).view(h, n, w, n)
    found = one(edges, (h, w))
    assert (found - inside.float().mean((1, 3))).abs().max() < 0.03
    assert (found - inside.float().mean((1, 3))).abs().mean() < 0.003


def test_holes_are_empty_and_untouched_pixels_exactly_zero():
    edges = torch.cat([box(1, 1, 9, 9), box(3, 3, 6, 6)[:, [2, 3, 0, 1]]])
    found = one(edges, (12, 12))
    assert found.sum() == 64 - 9
    assert set(found.flatten().tolist()) == {0.0, 1.0}


def test_what_leaves_the_frame_is_cut():
    assert one(box(-5, -5, 20, 20), (4, 7)).eq(1).all()
    assert one(box(8, 0, 20, 4), (4, 7)).eq(0).all()
    assert one(box(-8, 0, -1, 4), (4, 7)).eq(0).all()


def test_level_edges_and_points_bound_no_area():
    flat = polygon([(1, 2.5), (5, 2.5), (3, 2.5)])
    assert one(flat, (4, 7)).eq(0).all()
    assert one(polygon([(1, 1), (1, 1), (1, 1)]), (4, 7)).eq(0).all()


def test_outlines_of_a_batch_do_not_touch_each_other():
    edges, owner = outlines().gather(torch.tensor([0, 40, 3]))
    edges = edges * 6 + 5
    found = coverage(edges, owner, 3, (10, 10))
    for i in range(3):
        assert torch.equal(found[i], one(edges[owner == i], (10, 10)))

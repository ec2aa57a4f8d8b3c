import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Object, Scene, draw, table_of
from frisket.data.scenes.layers import layers
from frisket.data.scenes.outlines import outlines


def test_visible_shares_and_ground_sum_to_one():
    seen = layers(draw(0, torch.arange(30), "train", Dial(objects=(1, 4), overlap=0.9)), (24, 40))
    torch.testing.assert_close(seen.visible.sum(1) + seen.ground, torch.ones(30, 24, 40))
    assert (seen.visible <= seen.cover).all()


def test_nearer_objects_hide_further_ones():
    near, far = Object(label=11, depth=0.3, size=0.2), Object(label=10, depth=0.6, size=0.1)
    seen = layers(table_of([Scene(objects=(near, far))]), (32, 32))
    assert seen.cover[0, 1].sum() > 20
    assert seen.visible[0, 1].eq(0).all()


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (128, 64)])
def test_the_covered_area_does_not_depend_on_the_size(size):
    ball = Object(label=10, centre=(0.1, -0.05), size=0.25)
    cover = layers(table_of([Scene(objects=(ball,))]), size).cover[0, 0]
    assert cover.sum() / min(size) ** 2 == pytest.approx(3.1365 * 0.25**2, rel=5e-3)  # the circle is a 64-gon


def test_a_larger_picture_averages_to_the_smaller_one():
    table = draw(1, torch.arange(20), "test")
    small, large = layers(table, (16, 16)).cover, layers(table, (64, 64)).cover
    torch.testing.assert_close(large.view(20, 3, 16, 4, 16, 4).mean((3, 5)), small, atol=2e-3, rtol=0)


def test_objects_turn_clockwise_and_stand_where_they_are_said():
    up = Object(label=19, centre=(-0.2, 0.25), size=0.15, angle=torch.pi / 2)  # an arrow to the right, turned down
    cover = layers(table_of([Scene(objects=(up,))]), (100, 100)).cover[0, 0]
    rows, columns = cover.sum(1), cover.sum(0)
    assert columns.nonzero().min() >= 100 * (0.5 - 0.2 - 0.85 * 0.15) - 1
    assert rows[60:75].max() < rows[75:92].max()  # the head is below the shaft
    assert outlines().count[9] == 7


@pytest.mark.parametrize("size", [(0, 4), (4, 9000)])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(FrisketError, match="size"):
        layers(table_of([Scene()]), size)

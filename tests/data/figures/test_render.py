"""Figures: what hides a garment says nothing of it, and nothing else of the picture depends on it."""

import torch

from frisket.data.figures import render
from frisket.data.figures.body import LIMBS
from frisket.data.figures.source import Figures

SOURCE = Figures().open()
IDS, SIZE = torch.arange(32), (24, 16)


def test_outside_the_region_a_garment_changes_nothing():
    figure = SOURCE.figures(IDS)
    one, two = (render.dressed(figure, SOURCE.garments(ids), SIZE) for ids in (IDS, IDS + 100))
    where = render.region(figure, SIZE)
    assert torch.equal(one.masked_fill(where, 0), two.masked_fill(where, 0))
    assert ((one - two).abs() * where).flatten(1).sum(1).min() > 1.0


def test_what_is_shown_of_a_person_is_the_same_in_any_garment():
    figure = SOURCE.figures(IDS)
    where = render.region(figure, SIZE)
    shown = [render.hidden(render.dressed(figure, SOURCE.garments(ids), SIZE), where) for ids in (IDS, IDS + 7)]
    assert torch.equal(*shown)
    assert (shown[0].masked_select(where) == render.HIDDEN).all()


def test_a_flat_garment_does_not_depend_on_who_wears_it():
    assert torch.equal(render.flat(SOURCE.garments(IDS), SIZE)[:4], render.flat(SOURCE.garments(IDS[:4]), SIZE))


def test_long_sleeves_cover_what_short_ones_leave():
    figure, garment = SOURCE.figures(IDS), SOURCE.garments(IDS)
    short, long = (render.dressed(figure, garment | {"sleeves": torch.full((32,), k)}, (48, 32)) for k in (0, 1))
    differs = ((short - long).abs().sum(1) > 0.05).flatten(1).any(1)
    assert differs.float().mean() > 0.9


def test_the_pose_map_has_a_channel_a_limb():
    pose = render.pose_map(SOURCE.figures(IDS), SIZE)
    assert pose.shape == (32, len(LIMBS), *SIZE)
    assert pose.min() >= 0
    assert pose.max() <= 1
    assert (pose.flatten(2).amax(-1) > 0).all()


def test_a_larger_picture_shows_the_same_figure():
    figure, garment = SOURCE.figures(IDS), SOURCE.garments(IDS)
    small, large = (render.dressed(figure, garment, size) for size in (SIZE, (96, 64)))
    pooled = torch.nn.functional.avg_pool2d(large, 4)
    assert (pooled - small).abs().mean() < 0.03

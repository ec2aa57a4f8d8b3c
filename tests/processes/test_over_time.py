"""What is known over time: the published counts, holes that stay, rectangles that keep within their share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Step
from frisket.processes.makers import Box, Frames
from frisket.processes.over_time import ChanceFrames, DrawnFrames, Every, Rectangles, Through
from frisket.testing import check_config

STEP = Step(seed=3, sample=torch.arange(40))
CLIP = (16, 4, 4)


@pytest.mark.parametrize(
    ("maker", "hidden"),
    [
        (Frames(first=8), 8),
        (Frames(first=0, last=8), 8),
        (Every(step=4), 12),
        (Frames(first=0), 16),
        (DrawnFrames(), 15),
    ],
)
def test_of_sixteen_frames_as_many_are_hidden_as_published(maker, hidden):
    check_config(maker)
    where = maker.where(CLIP, STEP)
    assert where.shape == (40, *CLIP)
    assert torch.equal(where, where[:, :, :1, :1].expand_as(where)), "whole frames"
    assert ((~where[:, :, 0, 0]).sum(1) == hidden).all()


def test_every_fourth_is_counted_from_the_first():
    assert Every(step=4).where((7, 1, 1), STEP)[0].flatten().nonzero().flatten().tolist() == [0, 4]


def test_drawn_frames_differ_from_sample_to_sample_and_may_be_any():
    many = Step(seed=0, sample=torch.arange(600))
    where = DrawnFrames(count=2).where((5, 1, 1), many).flatten(1)
    assert (where.sum(1) == 2).all()
    assert where.float().mean(0).tolist() == pytest.approx([0.4] * 5, abs=0.07)
    chance = ChanceFrames(chance=0.2).where((5, 1, 1), many).flatten(1)
    assert chance.float().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.06)
    assert len(set(chance.sum(1).tolist())) > 2


@settings(max_examples=12, deadline=None)
@given(h=st.integers(3, 20), w=st.integers(3, 20), most=st.floats(0.1, 0.9), seed=st.integers(0, 999))
def test_rectangles_never_cover_more_than_asked(h, w, most, seed):
    where = Rectangles(most=most).where((h, w), Step(seed=seed, sample=torch.arange(5)))
    assert (where.flatten(1).sum(1) <= most * h * w).all()


def test_rectangles_cover_almost_the_share_on_a_large_grid_and_are_made_of_rectangles():
    where = Rectangles(most=0.5).where((32, 32), STEP)
    assert float(where.float().mean()) > 0.45
    assert len({tuple(row.flatten().tolist()) for row in where}) == 40
    agree = (where[:, 1:] == where[:, :-1]).float().mean()
    assert agree > 0.8
    one = Rectangles(most=0.2, least=200).where((32, 32), STEP)  # room for one alone
    for row in one[one.flatten(1).any(1)]:
        sides = row.any(1).sum() * row.any(0).sum()
        assert int(row.sum()) == int(sides)


def test_a_hole_stays_in_place_and_frames_at_the_ends_are_whole():
    where = Through(of=~Rectangles(), margin=3).where((8, 6, 6), STEP)
    before, after = set(), set()
    for row in where:
        holed = (~row).flatten(1).any(1)
        inside = holed.nonzero().flatten()
        assert torch.equal(inside, torch.arange(int(inside[0]), int(inside[-1]) + 1))
        assert (row[inside] == row[inside[0]]).all()
        before.add(int(inside[0]))
        after.add(7 - int(inside[-1]))
    assert before == after == {0, 1, 2, 3}


def test_what_is_known_of_one_frame_is_drawn_apart_from_the_ends():
    one = Through(of=Box(), margin=1)
    assert torch.equal(one.where((4, 6, 6), STEP)[:, 1:3].all(1), Box().where((6, 6), STEP, None, "known/of"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Every(step=0), "step"), (lambda: DrawnFrames(count=-1), "count"),
        (lambda: DrawnFrames(count=9).where((8, 1, 1), STEP), "count"), (lambda: ChanceFrames(chance=2), "chance"),
        (lambda: Rectangles(most=1.5), "most"), (lambda: Rectangles(least=0), "least"),
        (lambda: Rectangles(stretch=0.5), "stretch"), (lambda: Rectangles().where((4, 4, 4), STEP), "two axes"),
        (lambda: Through(margin=-1), "margin"), (lambda: Through(margin=2).where((4, 4, 4), STEP), "margin"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, match):
    with pytest.raises(FrisketError, match=match):
        make()

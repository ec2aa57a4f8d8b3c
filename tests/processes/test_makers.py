import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Step, from_config, lookup, names, override, register, to_config
from frisket.processes.makers import Blocks, Box, Frames, Instance, Maker, OneOf, Prefix, Random
from frisket.processes.shapes import Blobs, Strokes

STEP = Step(seed=2, sample=torch.arange(6))
EXACT = [Random, Blobs, Strokes]


@pytest.mark.parametrize("cls", EXACT)
@settings(max_examples=15, deadline=None)
@given(area=st.floats(0, 1), h=st.integers(3, 14), w=st.integers(3, 14))
def test_area_is_met_to_the_element(cls, area, h, w):
    where = cls(least=area, most=area).where((h, w), STEP)
    assert where.shape == (6, h, w)
    assert (where.flatten(1).sum(1) - area * h * w).abs().max() <= 0.5 + 1e-6


@settings(max_examples=30, deadline=None)
@given(area=st.floats(0.1, 0.9), seed=st.integers(0, 1000), grid=st.sampled_from([(40,), (30, 50), (12, 16, 20)]))
def test_boxes_are_boxes_of_about_the_area(area, seed, grid):
    where = Box(least=area, most=area).where(grid, Step(seed=seed, sample=torch.arange(3)))
    for row in where:
        sides = [row.movedim(axis, 0).flatten(1).any(1) for axis in range(len(grid))] if len(grid) > 1 else [row]
        for side in sides:
            assert int(side.int().diff().abs().sum() + side[0].int() + side[-1].int()) == 2  # one run
        assert int(row.sum()) == int(torch.tensor([int(s.sum()) for s in sides]).prod())
        # each side rounds by at most half an element
        assert float(row.float().mean()) == pytest.approx(area, abs=sum(0.5 / n for n in grid) + 0.01)


def test_blocks_are_whole_blocks():
    where = Blocks(size=4, least=0.5, most=0.5).where((16, 16), STEP)
    tiles = where.reshape(6, 4, 4, 4, 4).transpose(2, 3).flatten(3).float().mean(-1)
    assert ((tiles == 0) | (tiles == 1)).all()
    assert (where.flatten(1).sum(1) == 128).all()
    assert Blocks(size=4).where((6, 7), STEP).shape == (6, 6, 7)


def test_frames_and_prefix():
    where = Frames(first=2, last=1).where((5, 2, 2), STEP)
    assert torch.equal(where[0, :, 0, 0], torch.tensor([True, True, False, False, True]))
    assert (where == where[:1, :, :1, :1]).all()
    where = Prefix(least=0.25, most=0.5).where((40,), STEP)
    assert ((where.sum(1) >= 10) & (where.sum(1) <= 20)).all()
    assert (where.int().diff() <= 0).all()


def test_blobs_and_strokes_hang_together():
    """Neighbours agree far more often than in independent noise of the same area."""
    for maker in (Blobs(least=0.4, most=0.4), Strokes(least=0.4, most=0.4)):
        where = maker.where((24, 24), STEP)
        agree = (where[:, 1:] == where[:, :-1]).float().mean()
        assert agree > 0.85  # independent: 0.4^2 + 0.6^2 = 0.52


def test_instances_are_whole_objects():
    ids = torch.zeros(6, 4, 4, dtype=torch.long)
    ids[:, 0, :2], ids[:, 3] = 5, 9
    ids[5] = 0
    where = Instance().where((4, 4), STEP, ids)
    for i in range(5):
        assert torch.equal(where[i], ids[i] == 5) or torch.equal(where[i], ids[i] == 9)
    assert not where[5].any()
    many = Step(seed=0, sample=torch.arange(60))
    assert set(Instance().where((4, 4), many, ids[:1].expand(60, 4, 4)).flatten(1).sum(1).tolist()) == {2, 4}
    with pytest.raises(FrisketError, match="id map"):
        Instance().where((4, 4), STEP)
    with pytest.raises(FrisketError, match="do not fit"):
        Instance().where((4, 5), STEP, ids)


def test_combinations_and_independent_draws():
    box, blob = Box(), Blobs()
    both = (box & blob).where((9, 9), STEP)
    either = (box | blob).where((9, 9), STEP)
    assert (both <= either).all()
    assert torch.equal((~box).where((9, 9), STEP), ~box.where((9, 9), STEP))
    assert torch.equal((~~box).where((9, 9), STEP), box.where((9, 9), STEP))
    # two boxes in a union are two boxes, not one drawn twice
    a, b = (box.where((9, 9), STEP, None, f"known/{i}") for i in range(2))
    assert torch.equal((box | box).where((9, 9), STEP), a | b)
    assert not torch.equal(a, b)


@pytest.mark.parametrize("name", names("known"))
def test_round_trip_reproducible_and_per_sample(name):
    several = name in ("known/union", "known/both", "known/one-of")
    maker = lookup(name)(parts=(Box(), ~Prefix())) if several else lookup(name)()
    assert from_config(to_config(maker)) == maker
    grid = (8, 4, 4) if name == "known/through" else (8, 8)
    ids = torch.arange(6 * math.prod(grid)).reshape(6, *grid) % 3
    where = maker.where(grid, STEP, ids)
    assert where.dtype == torch.bool
    assert where.shape == (6, *grid)
    assert torch.equal(maker.where(grid, STEP.rows(torch.tensor([4])), ids[4:5])[0], where[4])


def test_known_of_a_state():
    x0 = torch.rand(6, 3, 8, 8)
    known = Box().known(x0, STEP)
    assert known.where.shape == (6, 1, 8, 8)
    assert torch.equal(known.impose(torch.zeros_like(x0)), x0 * known.where)
    assert Random().known(torch.zeros(6, 10, dtype=torch.long), STEP, channels=False).where.shape == (6, 10)


@register("test-holder/of-a-maker")
@dataclass(frozen=True, kw_only=True)
class Holder:
    known: Maker | None = None


def test_an_empty_slot_is_filled_by_name():
    assert override(Holder(), "known", "box").known == Box()
    assert override(Holder(known=Box()), "known", "none").known is None


def test_bad_values_are_named():
    with pytest.raises(FrisketError, match="least, most"):
        Box(least=0.6, most=0.5)
    with pytest.raises(FrisketError, match="at least one maker"):
        lookup("known/union")()
    with pytest.raises(FrisketError, match="first, last"):
        Frames(first=-1)


def test_one_of_gives_each_sample_one_part_by_its_weight():
    parts = (Frames(first=1), Frames(first=2), Frames(first=3))
    step = Step(seed=0, sample=torch.arange(4000))
    maker = OneOf(parts=parts, weights=(1.0, 0.0, 3.0))
    frames = maker.where((4, 1), step).sum((1, 2))
    assert set(frames.tolist()) == {1, 3}
    assert float((frames == 3).float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(frames, maker.chosen(step) + 1)
    equal = OneOf(parts=parts).where((4, 1), step).sum((1, 2)).bincount(minlength=4)[1:] / 4000
    assert equal.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("bad", [{"parts": ()}, {"weights": (1.0,)}, {"weights": (0.0, 0.0)}, {"weights": (-1.0, 2.0)}])
def test_one_of_needs_parts_and_weights_that_fit(bad):
    with pytest.raises(FrisketError, match="parts|weights"):
        OneOf(**{"parts": (Box(), Prefix()), **bad})

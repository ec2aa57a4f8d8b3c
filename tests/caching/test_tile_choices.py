import math

import pytest
import torch

from frisket.caching.tile_choices import Fresh, Growing, Near, Profiled, Scattered, best, largest
from frisket.core.errors import FrisketError
from frisket.core.step import Step

SHAPE = (3, 2, 8, 8)


def step(index=0, total=5, first=0, n=3):
    return Step(seed=1, sample=torch.arange(first, first + n), index=index, total=total)


def gaps(seed=0):
    return -10 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_marks_fall_below_the_threshold_and_never_come_back():
    alive = Growing().first(SHAPE, step(), "a")
    assert bool(alive.all())
    choice = Growing(threshold=-6.0)
    for seed in range(4):
        gap = gaps(seed).masked_fill(~alive, -math.inf)
        after = choice.next(alive, gap, step(seed))
        assert torch.equal(after, alive & (gap > -6.0))
        assert not bool((after & ~alive).any())
        alive = after
    assert 0 < float(alive.float().mean()) < 1


def test_a_threshold_may_loosen_over_the_run():
    choice = Growing(threshold=-10.0, last=-2.0)
    assert [choice.at(step(i)) for i in range(5)] == [-10.0, -8.0, -6.0, -4.0, -2.0]
    assert choice.at(step(0, total=1)) == -10.0


@pytest.mark.parametrize("choice", [Fresh(density=0.25), Profiled(density=0.25)])
def test_shares_keep_the_largest_gaps_of_each_sample(choice):
    gap = gaps()
    alive = choice.next(torch.ones(SHAPE, dtype=torch.bool), gap, step())
    assert alive.flatten(1).sum(1).tolist() == [32] * 3
    for row in range(3):
        assert gap[row][alive[row]].min() > gap[row][~alive[row]].max()


def test_the_first_tile_of_a_row_is_always_among_the_largest():
    gap = gaps()
    gap[..., -1] = math.inf
    assert bool(largest(gap, 0.01)[..., -1].all())


@pytest.mark.parametrize("choice", [Scattered(density=0.5), Near(density=0.5)])
def test_blind_choices_keep_their_share_of_every_row_and_its_own_place(choice):
    alive = choice.first(SHAPE, step(), "a")
    assert alive.shape == SHAPE
    assert bool((alive.sum(-1) == 4).all())
    assert bool(alive.diagonal(dim1=-2, dim2=-1).all())
    assert torch.equal(choice.next(alive, gaps(), step()), alive)


def test_near_keeps_the_nearest():
    alive = Near(density=3 / 8).first(SHAPE, step(), "a")[0, 0]
    assert alive[4].nonzero()[:, 0].tolist() == [3, 4, 5]


def test_scattered_is_one_draw_a_sample_layer_and_head():
    choice = Scattered(density=0.5)
    alive = choice.first(SHAPE, step(), "a")
    assert torch.equal(alive, choice.first(SHAPE, step(3), "a"))
    assert torch.equal(alive[1:], choice.first((2, 2, 8, 8), step(first=1, n=2), "a"))
    assert not torch.equal(alive, choice.first(SHAPE, step(), "b"))
    assert not torch.equal(alive[0], alive[1])
    assert not torch.equal(alive[:, 0], alive[:, 1])


def test_when_choices_look():
    assert [Growing().looks(i) for i in range(3)] == ["gaps"] * 3
    assert Growing(threshold=-math.inf).looks(0) == ""
    assert [Profiled().looks(i) for i in range(3)] == ["excess, later", "", ""]
    assert [Fresh().looks(i) for i in range(2)] == ["excess"] * 2
    assert Scattered().looks(0) == Near().looks(0) == ""


def test_at_least_one_tile_of_a_row_stays():
    assert bool((best(torch.rand(4, 8), 0.01).sum(-1) == 1).all())


@pytest.mark.parametrize("make", [
    lambda: Growing(threshold=0.0), lambda: Growing(last=1.0), lambda: Growing(threshold=-math.inf, last=-2.0),
    lambda: Fresh(density=0.0), lambda: Profiled(density=1.5), lambda: Scattered(density=-1), lambda: Near(density=0),
])  # fmt: skip
def test_bad_numbers_are_refused(make):
    with pytest.raises(FrisketError, match="tiles."):
        make()

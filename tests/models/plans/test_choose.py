"""Who passes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Step
from frisket.models.plans.choose import All, Between, Cells, Skip, SkipTogether, Then, Uniform, kept_number
from frisket.models.tokens import Tags
from frisket.testing import check_config

STEP = Step(seed=3, sample=torch.arange(400), index=5)
GRID = Tags(n=64, extent=(8, 8))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.floats(0, 0.99))
def test_the_rounded_numbers_are_those_of_the_two_codes(n, drop):
    assert kept_number(n, drop, "dropped") == max(1, n - int(n * drop))
    assert kept_number(n, drop, "kept") == max(1, int(n * (1 - drop)))


def test_each_token_passes_as_often_as_any_other():
    ids = Uniform(drop=0.75).ids(GRID, STEP, "plan/a", None)
    assert ids.shape == (400, 16)
    assert torch.equal(ids, ids.sort(1).values)
    often = torch.bincount(ids.flatten(), minlength=64) / 400
    assert (often - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 400)


def test_the_share_is_drawn_once_a_batch_and_changes_between_steps():
    between = Between(low=0.3, high=0.5)
    counts = {between.ids(GRID, STEP.at(index=i), "plan/a", None).shape[1] for i in range(40)}
    assert counts <= set(range(32, 45))
    assert len(counts) > 5
    alone = between.ids(GRID, STEP.rows(torch.tensor([7])), "plan/a", None)
    assert torch.equal(alone[0], between.ids(GRID, STEP, "plan/a", None)[7])


@pytest.mark.parametrize(("side", "keep"), [(2, 1), (2, 2), (4, 6), (4, 2)])
def test_every_cell_keeps_its_number(side, keep):
    ids = Cells(side=side, keep=keep).ids(GRID, STEP, "plan/a", None)
    row, column = ids // 8 // side, ids % 8 // side
    cells = row * (8 // side) + column
    counts = torch.stack([torch.bincount(c, minlength=(8 // side) ** 2) for c in cells])
    assert (counts == keep).all()
    often = torch.bincount(ids.flatten(), minlength=64) / 400
    assert (often - keep / side**2).abs().max() < 0.13


def test_cells_in_one_and_three_axes():
    for extent in ((6,), (2, 4, 2)):
        ids = Cells().ids(Tags(n=math.prod(extent), extent=extent), STEP, "plan/a", None)
        assert ids.shape[1] == math.prod(extent) // 2 ** len(extent)


def test_cells_that_do_not_tile_are_refused():
    with pytest.raises(FrisketError, match="divisor"):
        Cells(side=3).ids(GRID, STEP, "plan/a", None)
    with pytest.raises(FrisketError, match="at most 4"):
        Cells(keep=5).counts(GRID)
    with pytest.raises(FrisketError, match="whole grid"):
        Cells().counts(Tags(n=64))


@pytest.mark.parametrize("inner", [None, Uniform()])
def test_samples_skip_as_often_as_asked(inner):
    ids = Skip(inner=inner, rate=0.25).ids(GRID, STEP, "plan/a", None)
    skips = ids[:, 0] < 0
    assert ((ids < 0).all(1) == skips).all()
    assert ((ids < 0).any(1) == skips).all()
    assert abs(skips.float().mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 400)
    assert ids.shape[1] == (64 if inner is None else 32)


@pytest.mark.parametrize("choose", [Uniform(drop=0.3), Cells(), Skip(inner=Cells()), Skip(rate=0.5), Between(), All()])
def test_counts_are_chances_of_what_is_drawn(choose):
    check_config(choose)
    counts = choose.counts(GRID)
    assert sum(p for p, _ in counts) == pytest.approx(1)
    ids = choose.ids(GRID, STEP, "plan/a", None)
    if not isinstance(choose, Between):
        drawn = 64 if ids is None else float((ids >= 0).sum(1).float().mean())
        assert drawn == pytest.approx(sum(p * m for p, m in counts), rel=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(drop=1.0), lambda: Between(low=0.6), lambda: Cells(side=0), lambda: Skip(rate=1.5),
        lambda: SkipTogether(rate=-0.1),
    ],
)  # fmt: skip
def test_numbers_outside_their_range_are_refused(make):
    with pytest.raises(FrisketError, match="choose"):
        make()


def test_one_choice_then_another_and_their_mean_cost():
    both = Then(first=Skip(inner=Cells(), rate=0.1), last=All(), share=0.75)
    check_config(both)
    for index, sparse in ((0, True), (5, True), (6, False), (7, False)):
        ids = both.ids(GRID, STEP.at(index=index, total=8), "plan/a", None)
        assert (ids is not None) == sparse
    now = STEP.at(index=2, total=8)
    assert torch.equal(both.ids(GRID, now, "plan/a", None), both.first.ids(GRID, now, "plan/a", None))
    chances, passing = zip(*both.counts(GRID), strict=True)
    assert chances == pytest.approx((0.675, 0.075, 0.25))
    assert passing == (16, 0, 64)
    assert Then(first=Skip(), last=All(), share=0.0).counts(GRID) == ((1.0, 64),)
    with pytest.raises(FrisketError, match=r"choose\.share"):
        Then(first=All(), last=All(), share=1.5)


@pytest.mark.parametrize("inner", [None, Uniform(drop=0.75, floor="kept")])
def test_a_batch_skips_as_a_whole_and_as_often_as_asked(inner):
    choose = SkipTogether(inner=inner, rate=0.25)
    check_config(choose)
    assert choose.counts(GRID) == Skip(inner=inner, rate=0.25).counts(GRID)
    skipped = 0
    for index in range(200):
        ids = choose.ids(GRID, STEP.at(index=index), "plan/a", None)
        part = choose.ids(GRID, STEP.at(index=index).rows(torch.tensor([5, 9])), "plan/a", None)
        if ids is not None and bool((ids < 0).any()):
            assert bool((ids == -1).all())
            assert part.tolist() == [[-1], [-1]]
            skipped += 1
        elif inner is None:
            assert ids is None
        else:
            assert torch.equal(part, ids[[5, 9]])
            assert torch.equal(ids, inner.ids(GRID, STEP.at(index=index), "plan/a", None))
    assert abs(skipped / 200 - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 200)

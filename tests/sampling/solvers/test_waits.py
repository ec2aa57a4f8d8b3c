"""Who waits."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, Step
from frisket.models.grid import Grid
from frisket.sampling.solvers.waits import Border, Change, Random
from frisket.testing import check_config

GRID = Grid.of((8, 8), 2)
STEP = Step(seed=0, sample=torch.arange(3))
CHANGE = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
NEVER = torch.zeros(3, 16)


def metric(change):
    return GRID.per_token(change.std(1, keepdim=True))


@pytest.mark.parametrize(
    "part", [Change(), Change(release="all", high=0.4), Change(measure="norm"), Random(), Border()]
)
def test_as_many_wait_as_asked_and_nobody_twice(part):
    check_config(part)
    for count in (0, 1, 6, 15):
        ids = part.choose(CHANGE, GRID, NEVER, count, STEP)
        assert ids.shape == (3, count)
        assert all(len(set(row.tolist())) == count for row in ids)


def test_high_zero_are_those_that_changed_least_and_one_those_that_changed_most():
    order = metric(CHANGE).argsort(1)
    low, high = (Change(high=h).choose(CHANGE, GRID, NEVER, 5, STEP) for h in (0.0, 1.0))
    assert torch.equal(low.sort(1).values, order[:, :5].sort(1).values)
    assert torch.equal(high.sort(1).values, order[:, -5:].sort(1).values)


def test_waiting_brings_back_from_the_lowest_and_with_release_all_from_the_highest_too():
    def again(part):
        first = part.choose(CHANGE, GRID, NEVER, 8, STEP)
        waited = NEVER.scatter(1, first, 60.0)
        second = part.choose(CHANGE, GRID, waited, 8, STEP)
        return len(set(first[0].tolist()) & set(second[0].tolist()))

    assert again(Change(high=0.0)) == 0
    assert again(Change(high=1.0)) == 8  # as published: they wait on
    assert again(Change(high=1.0, release="all")) == 0
    assert again(Change(high=0.5, release="all")) == 0


def test_random_tokens_change_with_the_step_and_the_border_does_not():
    first = Random().choose(CHANGE, GRID, NEVER, 8, STEP)
    assert not torch.equal(first, Random().choose(CHANGE, GRID, NEVER, 8, STEP.at(index=1)))
    assert sorted(Border().choose(CHANGE, GRID, NEVER, 12, STEP)[0].tolist()) == [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        11,
        12,
        13,
        14,
        15,
    ]


def test_a_share_above_one_is_refused():
    with pytest.raises(FrisketError, match=r"waits\.high"):
        Change(high=1.2)

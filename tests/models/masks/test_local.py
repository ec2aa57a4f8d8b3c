"""Distances on a grid, against brute force."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.masks.base import View
from frisket.models.masks.local import LocalDisc, Partition, Window
from frisket.models.tokens import Tags

GRID = Grid.of((4, 6))
TAGS = Tags(n=GRID.tokens, coords=GRID.coords())


def table(mask, tags=TAGS):
    at, row = torch.arange(tags.n), torch.zeros(1, 1, 1, dtype=torch.int64)
    return mask.allowed(View(tags, row, at[:, None]), View(tags, row, at[None]))


def test_a_window_is_a_box():
    apart = (GRID.coords()[:, None] - GRID.coords()[None]).abs()
    assert torch.equal(table(Window(radius=1.0)), (apart <= 1).all(-1))
    assert torch.equal(table(Window(radius=(0.0, 2.0))), (apart[..., 0] == 0) & (apart[..., 1] <= 2))


def test_a_disc_is_round():
    distance = torch.cdist(GRID.coords(), GRID.coords())
    assert torch.equal(table(LocalDisc(radius=2.5)), distance <= 2.5)
    assert table(LocalDisc(radius=1.0)).sum() < table(Window(radius=1.0)).sum()


def test_a_partition_is_an_equivalence():
    mask = table(Partition(size=(2.0, 3.0)))
    assert torch.equal(mask, mask.T)
    assert torch.equal((mask.float() @ mask.float()) > 0, mask)
    assert bool((mask.sum(-1) == 6).all())
    assert not torch.equal(mask, table(Partition(size=(2.0, 3.0), shift=1.0)))


def test_axes_must_agree():
    with pytest.raises(FrisketError, match="radius"):
        table(Window(radius=(1.0, 1.0, 1.0)))
    with pytest.raises(FrisketError, match="coords"):
        table(LocalDisc(), Tags(n=3))

"""Shares of a head turn with their own axes; the angles are diffusers'."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.layers.base import Sizes
from frisket.models.layers.rotary_shares import RotaryShares
from frisket.models.tokens import Tags

GRID = Grid(axes=(2, 3, 4), patch=(1, 1, 1))
SIZES = Sizes(width=32, heads=2, condition=4, grid=GRID)
X = torch.randn(1, 2, 24, 16, generator=torch.Generator().manual_seed(0))


def turned(coords, x=X):
    return RotaryShares().build(SIZES).place(x, x, tags := Tags(n=len(coords), coords=coords), tags)[0]


def test_it_is_the_turn_of_diffusers():
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    table = embeddings.get_3d_rotary_pos_embed(16, ((0, 0), (3, 4)), (3, 4), 2)
    torch.testing.assert_close(turned(GRID.coords()), embeddings.apply_rotary_emb(X, table), rtol=1e-5, atol=1e-6)


def test_each_axis_turns_its_own_share():
    still = torch.zeros(24, 3)
    assert torch.equal(turned(still), X)
    for axis, own in enumerate((slice(0, 4), slice(4, 10), slice(10, 16))):
        moved = still.clone()
        moved[:, axis] = 1
        changed = (turned(moved) != X).any(2).any(1).any(0)
        assert changed[own].all()
        assert changed.sum() == own.stop - own.start


def test_products_depend_on_differences_alone():
    far = GRID.coords() + torch.tensor([5.0, -2.0, 7.0])
    near, away = turned(GRID.coords()), turned(far)
    torch.testing.assert_close(near @ near.mT, away @ away.mT, rtol=1e-4, atol=1e-4)


def test_shares_that_do_not_fit_are_refused():
    with pytest.raises(FrisketError, match="even parts"):
        RotaryShares().build(Sizes(width=24, heads=2, condition=4, grid=GRID))
    with pytest.raises(FrisketError, match="one for each"):
        RotaryShares(shares=(1, 1)).build(SIZES)
    with pytest.raises(FrisketError, match="positive"):
        RotaryShares(shares=())
    with pytest.raises(FrisketError, match="coords"):
        RotaryShares().build(SIZES).place(X, X, Tags(n=24), Tags(n=24))

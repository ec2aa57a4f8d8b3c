"""Sinusoids of groups of axes, added."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.axis_tables import GroupedSinCos
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import sincos
from frisket.models.tokens import Tags
from frisket.testing import check_config

GRID = Grid.of((3, 2, 4))


def built(config, grid=GRID):
    return build_real(lambda: config.build(Sizes(width=16, heads=2, condition=16, grid=grid)))


def tags(grid=GRID):
    return Tags(n=grid.tokens, coords=grid.coords(), extent=grid.axes)


@pytest.mark.parametrize("groups", [((1, 2), (0,)), ((0,), (1,), (2,)), ((0, 2), (1,))])
def test_each_group_has_the_whole_width(groups):
    module = built(GroupedSinCos(groups=groups))
    check_config(GroupedSinCos(groups=groups))
    coords = GRID.coords()
    wanted = sum(sincos(coords[:, list(group)], 16, 10_000.0) for group in groups)
    torch.testing.assert_close(module(torch.zeros(1, 24, 16), tags())[0], wanted)


def test_tables_are_frozen_saved_and_of_the_groups_sizes():
    module = built(GroupedSinCos())
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == {"table_0": (8, 16), "table_1": (3, 16)}
    assert not any(p.requires_grad for p in module.parameters())
    assert module.placing is None


def test_other_grids_are_computed():
    other = Grid.of((5, 3, 4))
    module, whole = built(GroupedSinCos()), built(GroupedSinCos(), other)
    h = torch.randn(2, 60, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(module(h, tags(other)), whole(h, tags(other)))
    with pytest.raises(FrisketError, match="coords"):
        module(h, Tags(n=60))


@pytest.mark.parametrize("groups", [((1, 2),), ((0, 1), (1, 2)), ((2, 1), (0,)), ((0,), (1, 2), (3,))])
def test_every_axis_is_in_one_group(groups):
    with pytest.raises(FrisketError, match=r"positions\.groups"):
        built(GroupedSinCos(groups=groups))

"""Inputs and outputs."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError
from frisket.models.init import build_real
from frisket.models.layers.ends import Ids, Logits, Patches, PatchesOut

IMAGE = Spec(kind="continuous", shape=(3, 8, 12))
WORDS = Spec(kind="ids", shape=(16,), vocabulary=27)


def test_fit_reads_the_spec():
    assert Patches(patch=4).fit(IMAGE) == Patches(channels=3, size=(8, 12), patch=4)
    assert Ids().fit(WORDS) == Ids(vocabulary=27, size=(16,))
    assert PatchesOut().fit(IMAGE, 6).channels == 6
    assert Logits().fit(WORDS, 27).vocabulary == 27


def test_fit_refuses_what_it_cannot_read():
    with pytest.raises(FrisketError, match="use input/ids"):
        Patches().fit(WORDS)
    with pytest.raises(FrisketError, match="use input/patches"):
        Ids().fit(IMAGE)
    with pytest.raises(FrisketError, match="patch = 5"):
        Patches(patch=5).fit(IMAGE)


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 1, 8, 12)])
def test_a_state_of_another_kind_is_refused(shape):
    with pytest.raises(FrisketError, match="of the state"):
        Patches().fit(IMAGE).grid_of(torch.zeros(shape))


def test_ids_must_be_integers():
    with pytest.raises(FrisketError, match="integer"):
        Ids(size=(4,)).grid_of(torch.zeros(1, 4))


def test_the_table_has_a_row_for_the_mask():
    module, grid = build_real(lambda: Ids(vocabulary=5, size=(4,)).build(8, 0)), Ids(size=(4,)).grid
    ids = torch.tensor([[0, 5, 2, 5]])
    assert torch.equal(module(ids, grid), module.table.weight[ids])
    assert module.table.weight.shape == (6, 8)
    assert module.table.weight.abs().max() <= 8**-0.5


def test_channels_by_a_door_widen_the_first_layer():
    assert build_real(lambda: Patches(channels=2, patch=2).build(8, 3)).linear.weight.shape == (8, 5 * 4)
    with pytest.raises(FrisketError, match="doors by channels"):
        Ids().build(8, 1)


def test_unused_channels_are_left_out():
    config = Patches(channels=2, size=(4, 4), patch=2)
    used, all_of = (build_real(lambda c=c: c.build(8, config.grid)) for c in (
        PatchesOut(channels=2, unused=2), PatchesOut(channels=4)))  # fmt: skip
    for p in all_of.parameters():
        torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(0))
    used.load_state_dict(all_of.state_dict())
    h = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(used(h, config.grid), all_of(h, config.grid)[:, :2])


@pytest.mark.parametrize("size", [(6,), (4, 6), (2, 4, 6)])
def test_every_number_of_axes(size):
    config = Patches(channels=2, size=size, patch=2)
    x = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(0))
    h = build_real(lambda: config.build(8, 0))(x, config.grid_of(x))
    out = build_real(lambda: PatchesOut(channels=5).build(8, config.grid))(h, config.grid)
    assert h.shape == (3, config.grid.tokens, 8)
    assert out.shape == (3, 5, *size)

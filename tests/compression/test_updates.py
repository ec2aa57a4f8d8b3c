"""The low-rank update of a search: silent at first, gone after, alone in what learns."""

from __future__ import annotations

import pytest
import torch
from small_models import CALL, built
from torch import nn

from frisket.compression.updates import LowRankUpdate
from frisket.core import FrisketError


def test_it_starts_silent_and_leaves_no_trace():
    model = built()
    plain, update = model(*CALL).pred, LowRankUpdate(model, 2)
    with update.on(model):
        assert torch.equal(model(*CALL).pred, plain)
    with torch.no_grad():
        for up in update.up:
            up.normal_(generator=torch.Generator().manual_seed(0))
    with update.on(model):
        assert not torch.allclose(model(*CALL).pred, plain)
    assert torch.equal(model(*CALL).pred, plain)
    assert not any(m._forward_hooks for m in model.modules())


def test_it_is_a_low_rank_change_of_the_weights():
    layer = nn.Sequential(nn.Linear(5, 3))
    update, x = LowRankUpdate(layer, rank=2, alpha=6.0), torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        update.up[0].normal_(generator=torch.Generator().manual_seed(2))
    weight = layer[0].weight + 3.0 * update.up[0] @ update.down[0]
    with update.on(layer):
        torch.testing.assert_close(layer(x), nn.functional.linear(x, weight, layer[0].bias))


def test_every_linear_layer_learns_and_the_model_does_not():
    model = built()
    model.requires_grad_(False)
    update = LowRankUpdate(model, 2)
    with update.on(model):
        model(*CALL).pred.square().mean().backward()
    assert len(update.names) == sum(isinstance(m, nn.Linear) for m in model.modules())
    assert all(up.grad is not None and up.grad.abs().sum() > 0 for up in update.up)
    assert all(p.grad is None for p in model.parameters())


def test_equal_seeds_give_equal_updates():
    first, second, other = (LowRankUpdate(built(), 2, seed=s).down[0] for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    with pytest.raises(FrisketError, match="rank"):
        LowRankUpdate(built(), 0)

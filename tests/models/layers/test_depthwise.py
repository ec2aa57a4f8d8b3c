"""The convolutional feed-forward part, and that its wide form folds into the plain one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from frisket.core import Dispatch, FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.depthwise import Depthwise, Reparameterised, folded
from frisket.models.tokens import Tokens

GRID = Grid.of((4, 6))
SIZES = Sizes(width=8, heads=2, condition=8, grid=GRID)
TOKENS = Tokens.of(torch.randn(2, 24, 8, generator=torch.Generator().manual_seed(0)))
CALL = BranchCall(Side(grid=GRID, state=24, raw=TOKENS.h), Dispatch(object()), "", None)


def build(config):
    module = build_real(lambda: config.build(SIZES))
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return module


def test_the_plain_part_is_up_gelu_depthwise_down():
    module = build(Depthwise())
    hidden = functional.gelu(module.up(TOKENS.h)).transpose(1, 2).unflatten(2, GRID.axes)
    mixed = functional.conv2d(hidden, module.local.weight, module.local.bias, padding=2, groups=16)
    torch.testing.assert_close(module(TOKENS, CALL), module.down(mixed.flatten(2).transpose(1, 2)))


def test_the_wide_form_adds_three_convolutions_to_what_it_has():
    module = build(Reparameterised())
    x = functional.gelu(module.up[1](module.up[0](TOKENS.h))).transpose(1, 2).unflatten(2, GRID.axes)
    total = x + sum(layer(x) for layer in module.local)
    wanted = module.down[1](module.down[0](total.flatten(2).transpose(1, 2)))
    torch.testing.assert_close(module(TOKENS, CALL), wanted, rtol=1e-5, atol=1e-6)


def test_folded_computes_the_same_and_leaves_the_wide_weights_alone():
    wide, plain = build(Reparameterised()), build(Depthwise())
    before = {k: v.clone() for k, v in wide.state_dict().items()}
    plain.load_state_dict(folded(wide.state_dict()))
    torch.testing.assert_close(plain(TOKENS, CALL), wide(TOKENS, CALL), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in wide.state_dict().items())


def test_it_needs_the_whole_plane():
    for config in (Depthwise(), Reparameterised()):
        with pytest.raises(FrisketError, match="chosen tokens"):
            build(config)(TOKENS.take(torch.arange(3).expand(2, -1)), CALL)


def test_hidden_widths_that_cannot_be_are_refused():
    with pytest.raises(FrisketError, match="even"):
        Reparameterised(ratio=9 / 8).build(SIZES)
    with pytest.raises(FrisketError, match="ratio"):
        Depthwise(ratio=0.01).build(SIZES)

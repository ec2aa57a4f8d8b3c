"""Feed-forward branches against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from frisket.core import Dispatch, Step, install, use_step
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.ffn import Gelu, Silu, SwiGLU
from frisket.models.tokens import Tokens

SIZES = Sizes(width=12, heads=2, condition=12, grid=Grid.of((3,)))
TOKENS = Tokens.of(torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(0)) * 2)
CALL = BranchCall(Side(grid=SIZES.grid, state=3, raw=TOKENS.h), Dispatch(object()), "x.attend", None)


@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu(approximate):
    module = build_real(lambda: Gelu(approximate=approximate, ratio=2.0).build(SIZES))
    hidden = functional.linear(TOKENS.h, module.up.weight, module.up.bias)
    wanted = functional.linear(functional.gelu(hidden, approximate=approximate), module.down.weight, module.down.bias)
    assert module.up.weight.shape == (24, 12)
    torch.testing.assert_close(module(TOKENS, CALL), wanted)


def test_swiglu_gates_with_its_first_half():
    module = build_real(lambda: SwiGLU().build(SIZES))
    gate, up = module.up.weight[:32], module.up.weight[32:]
    wanted = (functional.silu(TOKENS.h @ gate.T) * (TOKENS.h @ up.T)) @ module.down.weight.T
    torch.testing.assert_close(module(TOKENS, CALL), wanted)


def test_swiglu_has_the_weights_of_a_gelu_of_ratio_four():
    swiglu, gelu = (build_real(lambda c=c: c.build(SIZES)) for c in (SwiGLU(), Gelu(bias=False)))
    assert sum(p.numel() for p in swiglu.parameters()) == sum(p.numel() for p in gelu.parameters())


@pytest.mark.parametrize("config", [Gelu(), SwiGLU()])
def test_hidden_units_are_a_site(config):
    """A handler there sees what the last layer reads, and may change it."""
    ffn, model = build_real(lambda: config.build(SIZES)), Sited()
    seen = []

    def double(call, args, step):
        seen.append(call(*args))
        return 2 * seen[0]

    step = Step(seed=0, sample=torch.arange(2))
    with use_step(step), install(model, {"x.hidden": double}):
        call = BranchCall(CALL.side, Dispatch(model), "x.attend", None, "x.hidden")
        changed = ffn(TOKENS, call)
    assert seen[0].shape == (2, 3, ffn.down.in_features)
    torch.testing.assert_close(changed, ffn.down(2 * seen[0]))
    torch.testing.assert_close(ffn(TOKENS, CALL), ffn.down(seen[0]))


class Sited:
    def sites(self):
        return ["x.hidden"]


def test_silu():
    module = build_real(lambda: Silu(ratio=1.0).build(SIZES))
    hidden = functional.silu(functional.linear(TOKENS.h, module.up.weight, module.up.bias))
    wanted = functional.linear(hidden, module.down.weight, module.down.bias)
    torch.testing.assert_close(module(TOKENS, CALL), wanted)

"""Blocks: branches in order, block-level modulation, dropout from the step."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from frisket.core import Dispatch, FrisketError, Step, from_config, to_config, use_step
from frisket.models.block import Block, Branch, ZeroLinear, drop, repeat
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import LayerNorm
from frisket.models.tokens import Tokens

GRID = Grid.of((5,))
SIZES = Sizes(width=8, heads=2, condition=6, grid=GRID)
G = torch.Generator().manual_seed(0)
TOKENS = Tokens.of(torch.randn(2, 5, 8, generator=G), coords=GRID.coords())
TEXT = Tokens.of(torch.randn(2, 3, 8, generator=G))
VECTOR = torch.randn(2, 6, generator=G)
PIXART = Block(
    branches=(
        Branch(name="attn", mixer=Attention()),
        Branch(name="cross", mixer=Cross(), norm=None, uses=()),
        Branch(name="ffn", mixer=Gelu(), uses=("scale", "gate")),
    )
)
STEP = Step(seed=0, sample=torch.arange(2))


def side():
    return Side(grid=GRID, state=5, raw=TOKENS.h, vector=VECTOR, context={"text": TEXT})


def built(config, seed=1):
    module = build_real(lambda: config.build(SIZES))
    g = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.5, generator=g)
    return module


def run(module, tokens=TOKENS, beside=None):
    return module("block[0]", beside or side(), Dispatch(object()), None, tokens)


def branch_out(module, name, h):
    b = module.branches[name]
    return b.mixer(TOKENS.with_h(h), BranchCall(side(), Dispatch(object()), "x", None))


def test_a_fresh_block_is_the_identity():
    module = build_real(lambda: Block().build(SIZES))
    assert torch.equal(run(module).h, TOKENS.h)


def test_branches_are_added_in_order_with_their_numbers():
    module = built(PIXART)
    shift, scale, gate, scale2, gate2 = module.modulation.linear(VECTOR)[:, None].chunk(5, -1)
    norm = torch.nn.functional.layer_norm
    h = TOKENS.h
    h = h + gate * branch_out(module, "attn", norm(h, (8,), eps=1e-6) * (1 + scale) + shift)
    h = h + branch_out(module, "cross", h)
    h = h + gate2 * branch_out(module, "ffn", norm(h, (8,), eps=1e-6) * (1 + scale2))
    torch.testing.assert_close(run(module).h, h, rtol=1e-5, atol=1e-5)


def test_a_vector_a_time_equals_a_vector_a_row():
    module = built(Block())
    one = run(module)
    two = side()
    two.vector = torch.stack([VECTOR, VECTOR.flip(0)], 1)
    index = torch.zeros(2, 5, dtype=torch.int64)
    tagged = Tokens(TOKENS.h, TOKENS.tags.change(time=index))
    torch.testing.assert_close(run(module, tagged, two).h, one.h)
    tagged = Tokens(TOKENS.h, TOKENS.tags.change(time=1 - index))
    swapped = side()
    swapped.vector = VECTOR.flip(0)
    torch.testing.assert_close(run(module, tagged, two).h, run(module, TOKENS, swapped).h)


def test_unmodulated_is_a_plain_pre_norm_block():
    module = built(replace(Block(), modulation=Unmodulated()))
    h = TOKENS.h
    for name in ("attn", "ffn"):
        h = h + branch_out(module, name, torch.nn.functional.layer_norm(h, (8,), eps=1e-6))
    torch.testing.assert_close(run(module).h, h)


def test_dropout_comes_from_the_step_and_only_in_training():
    config = Block(branches=(Branch(name="ffn", mixer=Gelu(), dropout=0.5),))
    module = built(config)
    with use_step(STEP):
        once, twice = run(module).h, run(module).h
        other = module("block[1]", side(), Dispatch(object()), None, TOKENS).h
    assert torch.equal(once, twice)
    assert not torch.equal(once, other)
    with pytest.raises(FrisketError, match="no Step"):
        run(module)
    module.eval()
    assert not torch.equal(run(module).h, once)


def test_dropout_keeps_the_mean_and_belongs_to_the_sample():
    x = torch.ones(2, 100, 50)
    with use_step(STEP):
        out = drop(x, 0.25, "here")
    assert out.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    with use_step(STEP.rows(torch.tensor([1]))):
        assert torch.equal(drop(x[1:], 0.25, "here"), out[1:])


def test_configs_round_trip_and_check_themselves():
    assert from_config(to_config(PIXART)) == PIXART
    assert PIXART.numbers == 5
    assert len(repeat(PIXART, 3)) == 3
    with pytest.raises(FrisketError, match="in this order"):
        Branch(uses=("gate", "shift"))
    with pytest.raises(FrisketError, match="identifier"):
        Branch(name="a.b")
    with pytest.raises(FrisketError, match="names different"):
        Block(branches=(Branch(), Branch()))
    with pytest.raises(FrisketError, match="dropout"):
        Branch(dropout=1.0)


def test_sites():
    assert built(PIXART).sites("block[3]") == [
        "block[3].attn", "block[3].attn.attend", "block[3].cross", "block[3].cross.attend", "block[3].ffn",
        "block[3].ffn.hidden",
    ]  # fmt: skip


def test_blocks_of_one_kind_compile_to_one_program():
    """In a process of its own, since the tests' shape checks cannot be traced. A program a block would meet the
    compiler's limit of eight, behind which blocks run as they are."""
    script = Path(__file__).with_name("compiled_blocks.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["1", "equal"]


class Deep:
    """A mixer with a further site of its own."""

    def build(self, sizes):
        return DeepModule()


class DeepModule(torch.nn.Module):
    places = ("inner",)

    def forward(self, tokens, call):
        return call.at(call.inside("inner"), torch.neg, tokens.h)


def test_a_branch_may_have_further_sites():
    module = built(Block(branches=(Branch(name="deep", mixer=Deep(), norm=None, uses=()),), modulation=Unmodulated()))
    assert module.sites("block[0]") == ["block[0].deep", "block[0].deep.inner"]
    at = Dispatch(object())
    at.handlers = {"block[0].deep.inner": [lambda fn, args, step: fn(*args) * 5]}
    with use_step(STEP):
        out = module("block[0]", side(), at, None, TOKENS)
    torch.testing.assert_close(out.h, TOKENS.h - 5 * TOKENS.h)


def test_a_layer_behind_takes_what_the_gate_left():
    config = Block(branches=(Branch(name="attn", mixer=Attention(), norm=None, behind=ZeroLinear(), uses=("gate",)),))
    module = built(config)
    gate = module.modulation(side()).unsqueeze(1)
    layer = module.branches["attn"].behind
    wanted = TOKENS.h + layer(gate * branch_out(module, "attn", TOKENS.h))
    torch.testing.assert_close(run(module).h, wanted)
    fresh = build_real(lambda: config.build(SIZES))
    assert torch.equal(run(fresh).h, TOKENS.h)


def test_a_norm_behind_a_branch_is_of_the_sum():
    norm = LayerNorm(eps=1e-12, affine="both")
    plain = Branch(name="ffn", mixer=Gelu(), norm=None)
    before, after = (
        build_real(lambda c=c: Block(branches=(c,), modulation=Unmodulated()).build(SIZES))
        for c in (plain, replace(plain, after=norm))
    )
    side, at = Side(grid=GRID, state=5, raw=TOKENS.h), Dispatch(object())
    summed = before("block[0]", side, at, None, TOKENS).h
    out = after("block[0]", side, at, None, TOKENS).h
    torch.testing.assert_close(out, torch.nn.functional.layer_norm(summed, (8,), eps=1e-12))

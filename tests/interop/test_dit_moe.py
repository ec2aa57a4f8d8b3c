"""Parity with the official mixture at equal weights: forward, balance loss, and its gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.interop.dit_moe import PROCESS, dit_moe, dit_moe_pipeline, dit_moe_rf_pipeline, moe_block
from frisket.interop.golden import GOLDEN, forward_difference, golden
from frisket.interop.official import load_official
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.routers import Renormalised


def held():
    import numpy as np

    with np.load(GOLDEN / "dit-moe_forward.npz", allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


def test_the_forward_is_the_official_one_in_both_of_its_modes():
    assert forward_difference("dit-moe", num_heads=2) < 1e-5
    weights, inputs, out = golden("dit-moe")
    assert out.std() > 0.3
    model = load_official("dit-moe", weights, num_heads=2).train()
    got = model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred
    torch.testing.assert_close(got, held()["train"], rtol=1e-5, atol=1e-5)


def test_the_balance_loss_and_its_gradient_are_the_official_ones():
    weights, inputs, _ = golden("dit-moe")
    model = load_official("dit-moe", weights, num_heads=2).train()
    out = model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"]))
    torch.testing.assert_close(out.losses["balance"], held()["balance"].sum(), rtol=1e-5, atol=1e-7)
    (0 * out.pred.sum() + out.losses["balance"]).backward()
    got = model.blocks[0].branches["ffn"].mixer.router.linear.weight.grad
    torch.testing.assert_close(got, held()["gate_grad"], rtol=1e-4, atol=1e-7)
    assert held()["gate_grad"].abs().max() > 1e-5


def test_gates_that_sum_to_one_would_be_noticed():
    weights, inputs, out = golden("dit-moe")
    model = load_official("dit-moe", weights, num_heads=2)
    block = model.config.blocks[0]
    changed = replace(block.branches[1], mixer=replace(block.branches[1].mixer, router=Renormalised()))
    other = replace(model.config, blocks=repeat(replace(block, branches=(block.branches[0], changed)), 2)).build()
    other.load_state_dict({k.replace("router.linear", "router.top.linear"): v for k, v in model.state_dict().items()})
    got = other.eval()(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred
    assert (got - out).abs().max() > 1e-3


def test_the_velocity_release_leaves_the_variance_out():
    weights, inputs, out = golden("dit-moe")
    model = load_official("dit-moe-rf", weights, num_heads=2)
    got = model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred
    torch.testing.assert_close(got, out[:, :3], rtol=1e-5, atol=1e-5)
    assert dit_moe_rf_pipeline(model).process == PROCESS


def test_the_names_of_the_flash_variant_are_read():
    weights, inputs, _ = golden("dit-moe")
    renamed = {k.replace("attn.qkv", "attn.Wqkv").replace("attn.proj", "attn.out_proj"): v for k, v in weights.items()}
    for i in range(2):
        for which in ("q", "k"):
            renamed |= {
                f"blocks.{i}.attn.{which}_norm.{k}": torch.full((8,), v) for k, v in (("weight", 1.0), ("bias", 0.0))
            }
    model = load_official("dit-moe", renamed, num_heads=2)
    assert model.config.blocks[0] == moe_block(4, qk_norm=LayerNorm(affine="both"))
    assert torch.isfinite(model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred).all()
    assert dit_moe_pipeline(model).sampler.steps == 250


def test_what_no_release_has_is_refused():
    weights, *_ = golden("dit-moe")
    with pytest.raises(FrisketError, match="num_heads"):
        load_official("dit-moe", weights)
    with pytest.raises(FrisketError, match=r"ffn\.active"):
        load_official("dit-moe", weights, num_heads=2, num_experts_per_tok=5)


def test_published_sizes_have_their_shapes():
    config = dit_moe("B", 16)
    assert (config.depth, config.width, config.heads) == (12, 768, 12)
    assert config.blocks[0].branches[1].mixer.experts == 16


@pytest.mark.parametrize("experts", [2, 8, 16])
def test_parameters_to_the_integer(experts):
    d, depth = 384, 12
    block = (12 * experts + 6 + 4 + 6) * d**2 + experts * d + 4 * d + 6 * d
    time, label = 256 * d + d + d * d + d, 1001 * d
    head = 2 * d * d + 2 * d + d * 32 + 32
    assert parameters_of_size(dit_moe("S", experts)) == depth * block + (16 * d + d) + 256 * d + time + label + head

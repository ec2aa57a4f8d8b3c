"""Parity with the official DiT and SiT forwards at equal weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.core.condition import Condition
from frisket.interop.official import load_official
from frisket.models.block import repeat
from frisket.models.layers.ffn import Gelu

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name):
    with np.load(GOLDEN / f"{name}_forward.npz", allow_pickle=False) as held:
        arrays = {k: torch.from_numpy(held[k]) for k in held.files}
    weights = {k[2:]: v for k, v in arrays.items() if k.startswith("w/")}
    return weights, {k[3:]: v for k, v in arrays.items() if k.startswith("in/")}, arrays["out"]


@pytest.mark.parametrize("name", ["dit", "sit"])
def test_output_equals_the_official_forward(name):
    weights, inputs, out = golden(name)
    model = load_official(name, weights, num_heads=4, input_size=8, learn_sigma=True)
    got = model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred
    assert out.std() > 0.3  # random weights: the comparison is not of zeros
    torch.testing.assert_close(got, out, rtol=1e-5, atol=1e-5)


def test_the_null_row_is_what_a_dropped_label_gets():
    weights, inputs, out = golden("dit")
    model = load_official("dit", weights, num_heads=4)
    cond = Condition.of(label=torch.tensor([0, 7, 3])).without("label", where=torch.tensor([False, False, True]))
    torch.testing.assert_close(model(inputs["x"], inputs["t"], cond).pred, out, rtol=1e-5, atol=1e-5)


def test_the_exact_gelu_would_be_noticed():
    weights, inputs, out = golden("dit")
    model = load_official("dit", weights, num_heads=4)
    block = model.config.blocks[0]
    branches = (block.branches[0], replace(block.branches[1], mixer=Gelu(approximate="none")))
    other = replace(model.config, blocks=repeat(replace(block, branches=branches), 2)).build()
    other.load_state_dict(model.state_dict())
    got = other(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred
    assert (got - out).abs().max() > 1e-4


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_another_number_of_heads_would_be_noticed(heads):
    weights, inputs, out = golden("dit")
    model = load_official("dit", weights, num_heads=heads)
    assert (model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred - out).abs().max() > 1e-3


def test_unknown_names_are_listed():
    weights, _, _ = golden("dit")
    with pytest.raises(FrisketError, match=r"nothing reads: blocks\.0\.attn\.extra"):
        load_official("dit", {**weights, "blocks.0.attn.extra": torch.zeros(1)}, num_heads=4)


def test_missing_names_are_named():
    weights, _, _ = golden("dit")
    del weights["blocks.1.mlp.fc2.weight"]
    with pytest.raises(FrisketError, match=r"lack 'blocks\.1\.mlp\.fc2\.weight'"):
        load_official("dit", weights, num_heads=4)


def test_a_missing_bias_is_an_unfilled_weight():
    weights, _, _ = golden("dit")
    del weights["blocks.1.mlp.fc2.bias"]
    with pytest.raises(FrisketError, match=r"unfilled blocks\.1\.branches\.ffn\.mixer\.down\.bias"):
        load_official("dit", weights, num_heads=4)


@pytest.mark.parametrize("facts", [{"input_size": 16}, {"learn_sigma": False}])
def test_facts_that_contradict_the_weights_are_refused(facts):
    with pytest.raises(FrisketError, match=next(iter(facts))):
        load_official("dit", golden("dit")[0], num_heads=4, **facts)


def test_sit_keeps_the_dead_half_in_its_weights():
    model = load_official("sit", golden("sit")[0], num_heads=4)
    assert model.output.linear.weight.shape[0] == 2 * 2 * 6
    assert model.config.output.channels == model.config.output.unused == 3

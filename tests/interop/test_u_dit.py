"""Parity with the official U at equal weights, in training and in its folded evaluation mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frisket.compression.folding import FoldConvolutions, fold_block
from frisket.core import Condition, FrisketError, apply_edits
from frisket.interop.golden import GOLDEN, forward_difference, golden
from frisket.interop.official import load_official
from frisket.interop.u_dit import SIZES, u_block, u_dit_pipeline, u_transformer
from frisket.models.count import parameters_of_size

FACTS = {"num_heads": 2, "input_size": 8}


def call(model, inputs):
    with torch.no_grad():
        return model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred


def test_the_forward_is_the_official_one():
    assert forward_difference("u-dit", **FACTS) < 1e-5
    assert golden("u-dit")[2].std() > 0.3


def test_folded_it_is_the_official_evaluation_mode():
    weights, inputs, _ = golden("u-dit")
    model = apply_edits(load_official("u-dit", weights, **FACTS), [FoldConvolutions()])
    with np.load(GOLDEN / "u-dit_forward.npz", allow_pickle=False) as file:
        wanted = torch.from_numpy(file["eval"])
    torch.testing.assert_close(call(model, inputs), wanted, rtol=1e-5, atol=2e-5)


def test_a_scale_beyond_the_limit_and_the_order_of_axes_would_be_noticed():
    weights, inputs, out = golden("u-dit")
    model = load_official("u-dit", weights, **FACTS)
    assert max(p.max() for n, p in model.named_parameters() if n.endswith("scores.scale")) > 4.6052
    for module in model.modules():
        if hasattr(module, "limit"):
            module.limit = 10.0
    assert (call(model, inputs) - out).abs().max() > 1e-4
    model = load_official("u-dit", weights, **FACTS)
    assert (call(model, {**inputs, "x": inputs["x"].transpose(2, 3)}).transpose(2, 3) - out).abs().max() > 1e-3


def test_it_is_wired_as_dit():
    weights, *_ = golden("u-dit")
    assert u_dit_pipeline(load_official("u-dit", weights, **FACTS)).sampler.steps == 250


def test_a_width_that_was_not_published_needs_its_heads():
    weights, *_ = golden("u-dit")
    with pytest.raises(FrisketError, match="num_heads"):
        load_official("u-dit", weights, input_size=8)


def test_the_published_count_is_of_the_folded_network():
    assert parameters_of_size(u_transformer(*SIZES["S"], block=fold_block(u_block()))) == 52_045_240
    assert parameters_of_size(u_transformer(*SIZES["S"])) == 58_896_568

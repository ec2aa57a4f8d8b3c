"""Mask tokens, and their fusion with what stood in front of the span."""

from __future__ import annotations

import torch

from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_parameters
from frisket.models.plans.base import Plan, Span
from frisket.models.plans.choose import Uniform
from frisket.models.plans.fusion import Fused, Fusion, MaskToken
from frisket.testing import check_config, check_plan
from frisket.testing.backbones import stir
from frisket.testing.claims import example_state

X, T = example_state((1, 8, 8)), torch.tensor([0.1, 0.4, 0.6, 0.9])
FUSED = Fused(low=1, high=-1)
NOBODY = torch.empty(4, 0, dtype=torch.int64)


def model_of(plan, depth=4):
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), depth), plan=plan).build()
    stir(model, 0.1)
    return model


def test_fusion_keeps_the_promises():
    check_plan(FUSED)


def test_a_mask_token_keeps_the_promises():
    check_plan(Plan(spans=(Span(low=1, high=0, back=MaskToken(), choose=Uniform()),)))
    check_config(MaskToken(token="fixed"))


def test_a_model_where_nobody_passes_does_not_depend_on_the_span():
    model = model_of(FUSED)
    before, dense = model(X, T, keep={"middle": NOBODY}).pred, model(X, T).pred
    stir(model.blocks[1], 1.0), stir(model.blocks[2], 1.0)
    assert torch.equal(model(X, T, keep={"middle": NOBODY}).pred, before)
    assert not torch.allclose(model(X, T).pred, dense)


def test_fusion_that_reads_the_front_alone_is_the_shallow_model():
    model, plain = model_of(FUSED), model_of(None, depth=2)
    fusion = model.plan.returns["middle"].linear
    with torch.no_grad():
        fusion.weight.copy_(torch.cat([torch.zeros(32, 32), torch.eye(32)], 1)), fusion.bias.zero_()
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith(("plan.", "blocks."))}
    for new, old in ((0, 0), (1, 3)):
        weights |= {f"blocks.{new}.{k}": v for k, v in model.blocks[old].state_dict().items()}
    plain.load_state_dict(weights)
    torch.testing.assert_close(model(X, T).pred, plain(X, T).pred)
    torch.testing.assert_close(model(X, T, keep={"middle": NOBODY}).pred, plain(X, T).pred)


def test_a_fixed_token_is_not_trained_and_a_learned_one_is():
    for token, trained in (("fixed", False), ("learned", True)):
        model = model_of(Fused(low=1, high=-1, token=token))
        own = model.plan.returns["middle"].mask.token
        assert own.requires_grad == trained
        assert count_parameters(model) - count_parameters(model, trained_only=True) == 16 * 32 + 32 * (not trained)
        ids = torch.zeros(4, 1, dtype=torch.int64)
        model(X, T, keep={"middle": ids}).pred.square().mean().backward()
        assert (own.grad is not None and bool(own.grad.any())) == trained


def test_the_fixed_token_starts_normal_with_its_deviation():
    token = Transformer(width=512, heads=4, blocks=repeat(Block(), 3), plan=FUSED).build().plan.returns["middle"].mask
    assert 0.015 < float(token.token.std()) < 0.025


def test_fusion_adds_one_layer_and_one_vector():
    fused, plain = model_of(FUSED), model_of(None)
    assert count_parameters(fused) - count_parameters(plain) == 2 * 32 * 32 + 32 + 32
    assert FUSED.spans[0].back == Fusion()


def test_the_order_of_the_two_halves_is_that_of_the_layers_columns():
    dense_first = Fused(low=1, high=-1, token="learned", std=0.0, order="dense first")
    check_plan(dense_first)
    ours, theirs = model_of(dense_first), model_of(Fused(low=1, high=-1, token="learned"))
    weights = theirs.state_dict()
    name = "plan.returns.middle.linear.weight"
    weights[name] = weights[name].roll(32, 1)
    ours.load_state_dict(weights)
    ids = torch.tensor([[3, 1]] * 4)
    for keep in (None, {"middle": ids}, {"middle": NOBODY}):
        torch.testing.assert_close(ours(X, T, keep=keep).pred, theirs(X, T, keep=keep).pred)
    fresh = Transformer(blocks=repeat(Block(), 3), plan=dense_first).build().plan.returns["middle"].mask.token
    assert not fresh.any()
    assert fresh.requires_grad

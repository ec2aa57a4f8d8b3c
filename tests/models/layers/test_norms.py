"""Norms against their formulas."""

from __future__ import annotations

import pytest
import torch

from frisket.models.init import build_real
from frisket.models.layers.norms import Chain, LayerNorm, NoNorm, RMSNorm

X = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1


def randomised(config):
    module = build_real(lambda: config.build(8))
    for p in module.parameters():
        torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(1))
    return module


@pytest.mark.parametrize(("affine", "count"), [("none", 0), ("weight", 1), ("both", 2)])
def test_layer_norm(affine, count):
    module = randomised(LayerNorm(eps=1e-3, affine=affine))
    wanted = (X - X.mean(-1, keepdim=True)) / (X.var(-1, unbiased=False, keepdim=True) + 1e-3).sqrt()
    wanted = wanted if module.weight is None else wanted * module.weight
    wanted = wanted if module.bias is None else wanted + module.bias
    assert len(list(module.parameters())) == count
    torch.testing.assert_close(module(X), wanted)


@pytest.mark.parametrize("affine", ["none", "weight"])
def test_rms_norm(affine):
    module = randomised(RMSNorm(eps=1e-3, affine=affine))
    wanted = X / (X.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(module(X), wanted if module.weight is None else wanted * module.weight)


@pytest.mark.parametrize("config", [LayerNorm(affine="both"), RMSNorm()])
def test_fresh_weights_are_neutral(config):
    fresh, bare = build_real(lambda: config.build(8)), build_real(lambda: type(config)(affine="none").build(8))
    torch.testing.assert_close(fresh(X), bare(X))


def test_a_chain_is_its_norms_one_behind_the_other():
    parts = LayerNorm(affine="both"), RMSNorm()
    module = randomised(Chain(norms=parts))
    assert len(list(module.parameters())) == 3
    torch.testing.assert_close(module(X), module[1](module[0](X)))
    assert not torch.allclose(module(X), module[0](X))


def test_no_norm_is_the_identity():
    x = torch.randn(2, 3, 4)
    assert NoNorm().build(4)(x) is x

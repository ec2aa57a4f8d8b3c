"""Attention in interleaved planes: nothing mixes between phases, nothing is lost, a quarter of the products."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from frisket.core import Dispatch, FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.downsampled import Cosine, Phases, Pooled, Scaled, cut, put_together
from frisket.models.tokens import Tokens

GRID = Grid.of((4, 8))
SIZES = Sizes(width=16, heads=2, condition=16, grid=GRID)
TOKENS = Tokens.of(torch.randn(2, 32, 16, generator=torch.Generator().manual_seed(0)))
PLAIN = Phases(factor=1, local=0, scores=Scaled(), positions=None)


def build(config):
    module = build_real(lambda: config.build(SIZES))
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            if p.ndim == 1:
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return module


def call(grid=GRID, tokens=TOKENS):
    return BranchCall(Side(grid=grid, state=grid.tokens, raw=tokens.h), Dispatch(object()), "x.attend", None)


@settings(max_examples=20, deadline=None)
@given(factor=st.integers(1, 3), y=st.integers(1, 3), x=st.integers(1, 3))
def test_putting_together_undoes_cutting(factor, y, x):
    axes = (factor * y, factor * x)
    image = torch.arange(2 * 3 * axes[0] * axes[1], dtype=torch.float32).view(2, 3, *axes)
    planes = cut(image, factor)
    assert planes.shape == (2, factor**2, y * x, 3)
    assert torch.equal(put_together(planes, factor, axes), image.flatten(2).transpose(1, 2))
    corner = image[:, :, factor - 1 :: factor, 0::factor].flatten(2).transpose(1, 2)
    assert torch.equal(planes[:, (factor - 1) * factor], corner)


def test_factor_one_is_plain_attention():
    ours, plain = build(PLAIN), build_real(lambda: Attention().build(SIZES))
    plain.qkv.load_state_dict(ours.qkv.state_dict())
    plain.inner.out.load_state_dict(ours.out.state_dict())
    torch.testing.assert_close(ours(TOKENS, call()), plain(TOKENS, call()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", [Phases(local=0), Phases(local=0, scores=Scaled(), positions=None)])
def test_without_the_convolution_a_token_reads_its_own_phase_alone(config):
    module = build(config)
    h = TOKENS.h.clone().requires_grad_()
    out = module(TOKENS.with_h(h), call())[:, 8 * 1 + 2]  # row 1, column 2
    (grad,) = torch.autograd.grad(out.square().sum(), h)
    reached = (grad.abs().sum(-1) > 0).view(2, 4, 8)
    same = torch.zeros(4, 8, dtype=torch.bool)
    same[1::2, 0::2] = True
    assert torch.equal(reached, same.expand(2, -1, -1))


def test_each_plane_is_plain_attention_on_its_own():
    config = replace(PLAIN, factor=2)
    module, plain = build(config), build_real(lambda: Attention().build(SIZES))
    plain.qkv.load_state_dict(module.qkv.state_dict())
    plain.inner.out.load_state_dict(module.out.state_dict())
    image = TOKENS.h.transpose(1, 2).unflatten(2, GRID.axes)
    planes = [plain(Tokens.of(part), call()) for part in cut(image, 2).unbind(1)]
    wanted = put_together(torch.stack(planes, 1), 2, GRID.axes)
    torch.testing.assert_close(module(TOKENS, call()), wanted, rtol=1e-5, atol=1e-6)


def test_the_convolution_stands_in_front_with_a_shortcut():
    with_it, without = build(Phases()), build(Phases(local=0))
    without.load_state_dict({k: v for k, v in with_it.state_dict().items() if not k.startswith("local.")})
    image = TOKENS.h.transpose(1, 2).unflatten(2, GRID.axes)
    seen = image + functional.conv2d(image, with_it.local.weight, with_it.local.bias, padding=2, groups=16)
    wanted = without(Tokens.of(seen.flatten(2).transpose(1, 2)), call())
    torch.testing.assert_close(with_it(TOKENS, call()), wanted, rtol=1e-5, atol=1e-6)


def test_pooling_averages_and_repeats():
    module = build(replace(Pooled(), local=0, scores=Scaled(), positions=None))
    out = module(TOKENS, call()).transpose(1, 2).unflatten(2, GRID.axes)
    assert torch.equal(out[:, :, 0::2, 0::2], out[:, :, 1::2, 1::2])
    swapped = TOKENS.h.view(2, 2, 2, 4, 2, 16).flip(2, 4).reshape(2, 32, 16)  # another order within each square
    torch.testing.assert_close(module(TOKENS.with_h(swapped), call()), module(TOKENS, call()), rtol=1e-5, atol=1e-6)


def test_cosines_times_a_scale_that_has_a_limit():
    module = build_real(lambda: Cosine().build(2))
    g = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 4, 2, 5, 8, generator=g) for _ in range(2))
    cosine = functional.cosine_similarity(q.unsqueeze(-2), k.unsqueeze(-3), dim=-1)

    def scores():
        a, b = module(q, k)
        return a @ b.transpose(-1, -2) / 8**0.5

    torch.testing.assert_close(scores(), 10.0 * cosine, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        module.scale.fill_(50.0)
    torch.testing.assert_close(scores(), 100.003 * cosine, rtol=1e-4, atol=1e-3)
    assert scores().abs().max() <= 100.01


def test_a_whole_plane_in_order_is_asked_for():
    module = build(Phases())
    with pytest.raises(FrisketError, match="chosen tokens"):
        module(TOKENS.take(torch.arange(8).expand(2, -1)), call())
    odd = Tokens.of(TOKENS.h[:, :9])
    with pytest.raises(FrisketError, match="multiple of 2"):
        module(odd, call(Grid.of((3, 3)), odd))
    for wrong in ({"factor": 0}, {"local": 4}):
        for make in (Phases, Pooled):
            with pytest.raises(FrisketError, match="mixer"):
                make(**wrong)
    with pytest.raises(FrisketError, match="heads"):
        build(Phases(heads=3))
    with pytest.raises(FrisketError, match="start"):
        Cosine(start=0.0)

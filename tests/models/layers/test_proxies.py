"""Proxies against their three steps written out."""

from __future__ import annotations

import pytest
import torch

from frisket.core import Dispatch, FrisketError, Step, from_config, install, to_config, use_step
from frisket.interop.pt_dit import pt_dit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.doors import Door
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.proxies import Proxies
from frisket.models.tokens import Tokens

GRID = Grid.of((4, 6))
SIZES = Sizes(width=8, heads=2, condition=8, grid=GRID)
H = torch.randn(2, 24, 8, generator=torch.Generator().manual_seed(0))
TOKENS = Tokens.of(H, coords=GRID.coords(), extent=GRID.axes)


def call(grid=GRID, n=24):
    return BranchCall(Side(grid=grid, state=n, raw=H), Dispatch(object()), "", None)


def built(**changes):
    module = build_real(lambda: Proxies(**{"size": 2, "norm": LayerNorm(affine="both"), **changes}).build(SIZES))
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=g))
    return module


def heads(x):
    return x.unflatten(-1, (2, 4)).transpose(1, 2)


def attention(q, k, v):
    return ((heads(q) @ heads(k).transpose(-1, -2) / 2.0).softmax(-1) @ heads(v)).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("pick", ["mean", "first"])
def test_the_three_steps(pick):
    module = built(pick=pick)
    boxes = H.unflatten(1, (2, 2, 3, 2)).permute(0, 1, 3, 2, 4, 5).reshape(2, 6, 4, 8)
    z = boxes.mean(2) if pick == "mean" else boxes[:, :, 0]
    z = z + module.among.inner.out(attention(*module.among.qkv(module.norm_among(z)).chunk(3, -1)))
    k, v = module.read.kv(module.norm_read(z)).chunk(2, -1)
    wanted = module.read.inner.out(attention(module.read.q(module.norm_asked(H)), k, v))
    torch.testing.assert_close(module(TOKENS, call()), wanted)


def test_tokens_of_a_window_of_one_are_the_proxies():
    module = built(size=1)
    with torch.no_grad():
        module.among.inner.out.weight.zero_()
        module.among.inner.out.bias.zero_()
    q, kv = module.read.q(module.norm_asked(H)), module.read.kv(module.norm_read(H))
    torch.testing.assert_close(module(TOKENS, call()), module.read.inner.out(attention(q, *kv.chunk(2, -1))))


def test_places_inside_a_window_do_not_matter():
    module = built()
    swapped = torch.arange(24)
    swapped[[0, 1, 6, 7]] = torch.tensor([7, 6, 1, 0])
    out = module(Tokens(H[:, swapped], TOKENS.tags), call())
    torch.testing.assert_close(out, module(TOKENS, call())[:, swapped])


def test_one_token_reaches_all_others():
    module = built()
    jacobian = torch.autograd.functional.jacobian(
        lambda h: module(Tokens(h, TOKENS.tags), call()).sum((0, 2)), H[:1].clone()
    )
    assert (jacobian[:, 0].abs().sum(-1) > 0).all()


def test_both_attentions_are_sites():
    model = Transformer(
        width=8, heads=2, input=Patches(size=(4, 4), patch=1), blocks=(pt_dit_block(2),),
        doors=(Door(name="label", way="context", embedder=ClassIds(classes=3)),),
    ).build()  # fmt: skip
    assert {"block[0].proxy", "block[0].proxy.attend", "block[0].proxy.proxies"} <= set(model.sites())
    seen = {}

    def note(name):
        return lambda fn, args, step: seen.setdefault(name, fn(*args))

    from frisket.core import Condition

    with (
        install(model, {f"block[0].proxy.{s}": note(s) for s in ("attend", "proxies")}),
        use_step(Step(seed=0, sample=torch.arange(1))),
    ):
        model(torch.randn(1, 1, 4, 4), torch.rand(1), Condition.of(label=torch.zeros(1, dtype=torch.int64)))
    assert {name: tuple(v.shape) for name, v in seen.items()} == {"proxies": (1, 2, 4, 4), "attend": (1, 2, 16, 4)}


def test_what_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="divide"):
        Proxies(size=4).build(SIZES)
    with pytest.raises(FrisketError, match="whole grid"):
        built()(TOKENS.take(torch.arange(4).expand(2, -1)), call())
    with pytest.raises(FrisketError, match="reads"):
        Proxies(read=Cross(reads="text"))


def test_configs_round_trip():
    config = Proxies(size=(1, 2), pick="first", among=Attention(heads=1))
    assert from_config(to_config(config)) == config

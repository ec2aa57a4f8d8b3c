"""Attention along axes: that of a mask, at its own cost; a linear layer behind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from frisket.core import FrisketError, Step, install, use_step
from frisket.core.sites import Dispatch
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_macs, count_parameters
from frisket.models.layers.attention import Attention
from frisket.models.layers.axial import Axial, Projected
from frisket.models.layers.base import BranchCall, Side
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import NoPositions, Rotary
from frisket.models.masks.base import Combines
from frisket.models.plans.routing import Routing
from frisket.models.tokens import Tags, Tokens
from frisket.testing import check_config
from frisket.testing.backbones import stir

X = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
T = torch.tensor([0.2, 0.7])


@dataclass(frozen=True, kw_only=True)
class SamePlaces(Combines):
    """Keys with the query's own place on every axis of `held`."""

    held: tuple[int, ...] = ()

    def allowed(self, q, k):
        out = q.coord(self.held[0]) == k.coord(self.held[0])
        for axis in self.held[1:]:
            out = out & (q.coord(axis) == k.coord(axis))
        return out


def network(mixer, positions=None):
    """One block of attention and a feed-forward branch on 3 x 2 x 2 tokens."""
    block = Block(branches=(Branch(name="attn", mixer=mixer), Branch(name="ffn", mixer=Gelu())))
    return Transformer(
        width=16, heads=2, input=Patches(channels=2, size=(3, 4, 4), patch=(1, 2, 2)), output=PatchesOut(channels=2),
        positions=positions or Rotary(), blocks=repeat(block, 1),
    )  # fmt: skip


def stirred(config, like=None):
    model = config.build().eval()
    stir(model, 0.3)
    if like is not None:
        names = {k.replace(".mixer.attention.", ".mixer."): v for k, v in like.state_dict().items()}
        model.load_state_dict(names)
    return model


@pytest.mark.parametrize(("along", "held"), [((0,), (1, 2)), ((1, 2), (0,)), ((2,), (0, 1)), ((0, 2), (1,))])
def test_it_is_full_attention_under_the_mask_of_its_lines(along, held):
    check_config(Axial(along=along))
    own = stirred(network(Axial(along=along, attention=Attention(qk_norm=RMSNorm()))))
    full = stirred(network(Attention(mask=SamePlaces(held=held), qk_norm=RMSNorm())), own)
    with torch.no_grad():
        torch.testing.assert_close(own(X, T).pred, full(X, T).pred, rtol=1e-4, atol=1e-5)
    assert count_parameters(own) == count_parameters(full)


def test_along_all_axes_it_is_full_attention():
    own = stirred(network(Axial(along=(0, 1, 2))))
    full = stirred(network(Attention()), own)
    with torch.no_grad():
        torch.testing.assert_close(own(X, T).pred, full(X, T).pred, rtol=1e-5, atol=1e-6)


def test_the_products_are_those_of_the_lines():
    frames, places, width = 3, 4, 16
    macs = {along: count_macs(network(Axial(along=along)).build(), (2, 3, 4, 4)) for along in ((0,), (1, 2))}
    whole = count_macs(network(Attention()).build(), (2, 3, 4, 4))
    joint, time, space = (2 * width * n for n in ((frames * places) ** 2, places * frames**2, frames * places**2))
    assert whole - macs[0,] == joint - time
    assert whole - macs[1, 2] == joint - space


def test_places_that_are_not_valid_are_no_keys():
    own = stirred(network(Axial(along=(0,)), NoPositions()))
    mixer = own.blocks[0].branches["attn"].mixer
    grid = own.config.input.grid
    h = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, 8:] = False  # the last frame of the second row

    def run(features):
        tags = Tags(n=12, coords=grid.coords(), extent=grid.axes, valid=valid)
        side = Side(grid=grid, state=12, raw=X)
        with torch.no_grad():
            return mixer(Tokens(features, tags), BranchCall(side, Dispatch(own), "", None))

    changed = h.clone()
    changed[:, 8:] += 5
    before, after = run(h), run(changed)
    assert not torch.allclose(before[0, :8], after[0, :8])
    torch.testing.assert_close(before[1, :8], after[1, :8])


def test_its_attention_is_a_site():
    model, seen = stirred(network(Projected(mixer=Axial(along=(0,))))), []

    def watch(call, args, step):
        seen.append(tuple(args[0].shape))
        return call(*args)

    with use_step(Step(seed=0, sample=torch.arange(2))), install(model, {"block[0].attn.attend": watch}):
        model(X, T)
    assert seen == [(2 * 4, 2, 3, 8)]


def test_a_linear_layer_behind_is_a_product_of_matrices():
    plain, more = network(Axial(along=(0,))), network(Projected(mixer=Axial(along=(0,))))
    check_config(more.blocks[0])
    assert count_parameters(more.build()) - count_parameters(plain.build()) == 16 * 16 + 16
    two = stirred(more)
    layer, last = (two.blocks[0].branches["attn"].mixer.linear, "attention.inner.out")
    weights = {k.replace("mixer.mixer.", "mixer."): v for k, v in two.state_dict().items() if "mixer.linear" not in k}
    name = f"blocks.0.branches.attn.mixer.{last}"
    weights[f"{name}.bias"] = layer(weights[f"{name}.bias"]).detach()
    weights[f"{name}.weight"] = layer.weight.detach() @ weights[f"{name}.weight"]
    one = plain.build().eval()
    one.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(one(X, T).pred, two(X, T).pred, rtol=1e-4, atol=1e-5)
    gelu = network(Projected(mixer=Gelu())).build()
    assert "block[0].attn.hidden" in gelu.sites()


def test_some_of_the_tokens_and_axes_that_do_not_exist_are_refused():
    config = replace(network(Axial(along=(0,))), plan=Routing(low=0, high=1))
    with pytest.raises(FrisketError, match="whole grid"):
        config.build()(X, T, keep={"route": torch.tensor([[0, 1], [2, 3]])})
    with pytest.raises(FrisketError, match=r"mixer\.along"):
        network(Axial(along=(3,))).build()
    for along in ((), (1, 0), (0, 0), (-1,)):
        with pytest.raises(FrisketError, match=r"mixer\.along"):
            Axial(along=along)


def test_modulation_may_be_absent():
    block = Block(branches=(Branch(name="attn", mixer=Axial(along=(1, 2))),), modulation=Unmodulated())
    assert stirred(replace(network(Axial()), blocks=(block,)))(X, T).pred.shape == X.shape

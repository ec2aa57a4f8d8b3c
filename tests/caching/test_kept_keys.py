"""Those computed look at all tokens."""

from __future__ import annotations

import pytest
import torch

from frisket.caching.kept_keys import KeptKeys
from frisket.core import FrisketError, Step, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.positions import RelativeBias, Rotary, SinCos
from frisket.testing import check_config
from frisket.testing.backbones import stir

STEP = Step(seed=0, sample=torch.arange(3), total=4)
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
T = torch.tensor([0.2, 0.5, 0.8])
IDS = STEP.draw("test", (16,), "uniform").argsort(1)[:, :5]


def model_of(positions=None):
    ends = {"input": Patches(channels=3), "output": PatchesOut(channels=3)}
    model = Transformer(width=32, heads=4, positions=positions or SinCos(), blocks=repeat(Block(), 3), **ends).build()
    stir(model, 0.1)
    return model.eval()


def places(ids):
    held = torch.zeros(3, 16, dtype=torch.bool).scatter(1, ids, True).reshape(3, 1, 4, 4)
    return held.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(3, 3, 8, 8)


@pytest.mark.parametrize("positions", [SinCos(), Rotary(), RelativeBias()])
def test_with_keys_of_the_same_state_the_kept_are_what_the_full_pass_gives(positions):
    model = model_of(positions)
    with torch.no_grad(), KeptKeys().install(model):
        with use_step(STEP):
            full = model(X, T).pred
        with use_step(STEP.at(index=1)):
            some = model(X, T, keep={"blocks[:]": IDS}).pred
    torch.testing.assert_close(some[places(IDS)], full[places(IDS)], rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        alone = model(X, T, keep={"blocks[:]": IDS}).pred
    assert (alone[places(IDS)] - full[places(IDS)]).abs().max() > 1e-2  # without keys of the others it is another call


def test_keys_of_those_computed_are_renewed():
    model, later = model_of(), X + 1
    rest = torch.arange(16).expand(3, -1).masked_select(torch.ones(3, 16).scatter(1, IDS, 0.0) > 0).reshape(3, -1)
    with torch.no_grad(), KeptKeys().install(model):
        with use_step(STEP):
            model(X, T)
        with use_step(STEP.at(index=1)):
            model(later, T, keep={"blocks[:]": torch.arange(16).expand(3, -1)})
        with use_step(STEP.at(index=2)):
            some = model(later, T, keep={"blocks[:]": rest}).pred
    with torch.no_grad():
        full = model(later, T).pred
    torch.testing.assert_close(some[places(rest)], full[places(rest)], rtol=1e-5, atol=1e-5)


def test_plain_calls_are_plain_and_the_books_are_kept():
    check_config(KeptKeys())
    model = model_of()
    with torch.no_grad():
        plain = model(X, T).pred
        with KeptKeys().install(model) as report, use_step(STEP):
            assert torch.equal(model(X, T).pred, plain)
            assert report.share == 1.0
            assert report.bytes == 3 * 2 * 3 * 16 * 32 * 4
            model(X, T, keep={"blocks[:]": IDS})
    dense, some = 16 * 12 * 32 * 32 + 2 * 16 * 16 * 32, 5 * 12 * 32 * 32 + 2 * 5 * 16 * 32
    assert (report.dense_macs - report.macs) / 3 == 3 * (dense - some)
    assert [forward.full for forward in report.forwards] == [True, False]


def test_some_before_all_and_models_without_attention_are_refused():
    model = model_of()
    with KeptKeys().install(model), use_step(STEP), pytest.raises(FrisketError, match="before a full pass"):
        model(X, T, keep={"blocks[:]": IDS})

    class Bare:
        def sites(self):
            return ["model"]

    with pytest.raises(FrisketError, match="no attention sites"):
        KeptKeys().mount(Bare())

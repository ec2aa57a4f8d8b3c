"""Targets: a needed encoder, and DINOv2 from a folder."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from aligning import BATCH, SIX
from small_models import pipeline

from frisket.codecs.pixels import Pixels
from frisket.core.errors import FrisketError, MissingExtra
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.experiments.experiment import Experiment
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.count import macs_of_size
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.objectives.targets import Dinov2, Encoder
from frisket.testing import check_config


def encoder(info=None):
    info = info or Digits().open("train").info
    codec = Pixels(mean=(0.3,), std=(0.2,))
    config = PatchEncoder(width=8, depth=1).fit(codec.spec(info), 1, {"label": 10})
    return Pipeline(config.build(), None, codec, None, info)


def test_a_needed_encoder_reads_the_clean_data_through_its_own_codec():
    check_config(Encoder())
    held = encoder()
    found = Encoder().build(pipeline(config=SIX), {"encoder": held})(BATCH["x"])
    torch.testing.assert_close(found, held.model.features((BATCH["x"] - 0.3) / 0.2))
    assert found.shape == (4, 16, 8)


def test_what_is_no_encoder_of_these_data_is_refused():
    own = pipeline(config=SIX)
    with pytest.raises(FrisketError, match="unknown needed pipeline 'encoder'"):
        Encoder().build(own, {"other": encoder()})
    with pytest.raises(FrisketError, match="gives no features"):
        Encoder().build(own, {"encoder": own})
    other = Info(kind="image", shape=(1, 16, 16), classes=("a", "b"))
    with pytest.raises(FrisketError, match="the encoder's data"):
        Encoder().build(own, {"encoder": encoder(other)})


def test_costs_and_widths_of_an_experiment():
    phase = Experiment(name="encoder", data=Digits(), codec=Pixels(), model=PatchEncoder(width=8, depth=1))
    experiment = SimpleNamespace(needs={"encoder": phase})
    assert Encoder().width_in(experiment) == 8
    assert Encoder().macs(experiment) == macs_of_size(phase.fit().model, (1, 8, 8)) > 16 * 8 * 8 * 9
    with pytest.raises(FrisketError, match="needed experiment"):
        Encoder(need="other").macs(experiment)
    assert Dinov2().width_in(None) == 768
    assert 20e9 < Dinov2().macs(None) < 30e9
    with pytest.raises(FrisketError, match="size of DINOv2"):
        Dinov2(model="some/where").macs(None)


def test_dinov2_gives_patch_tokens_and_is_never_replaced(tmp_path, monkeypatch):
    check_config(Dinov2())
    with pytest.raises(FrisketError, match="local folder"):
        Dinov2(model=str(tmp_path / "nothing")).build(pipeline(config=SIX), {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"frisket\[diffusers\]"):
        Dinov2().build(pipeline(config=SIX), {})


def test_dinov2_normalises_then_resizes(monkeypatch):
    class Net(torch.nn.Module):
        def forward(self, pixel_values):
            patches = torch.nn.functional.avg_pool2d(pixel_values, 14).flatten(2).transpose(1, 2)
            first = torch.full_like(patches[:, :1], 99.0)
            return SimpleNamespace(last_hidden_state=torch.cat([first, patches], 1))

    from frisket.tasks.objectives import targets

    monkeypatch.setattr(targets.Dinov2Features, "load", lambda self: Net())
    module = Dinov2(size=28).build(pipeline(config=SIX), {})
    grey = torch.full((2, 1, 8, 8), 0.5)
    found = module(grey)
    assert found.shape == (2, 4, 3)
    wanted = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(found, wanted.expand(2, 4, 3), atol=1e-5, rtol=1e-5)


def test_the_token_of_the_whole_stands_behind_the_patches():
    held = encoder()
    target = Encoder().build(pipeline(config=SIX), {"encoder": held})
    whole, summary = target.whole(BATCH["x"]), held.model.summary(held.coder.encode(BATCH["x"]))
    assert torch.equal(whole[:, :-1], target(BATCH["x"]))
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(whole[:, -1], summary), torch.ones(4))

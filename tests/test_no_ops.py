"""What changes nothing changes nothing: each way of doing nothing equals the plain call bit for bit."""

from dataclasses import replace

import pytest
import torch

from frisket.core import Condition, Step, apply_edits, install, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ffn import Gelu
from frisket.models.masks.local import Window
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler


def built(block=None):
    """A small model whose gates and last layer are not zero."""
    config = Transformer(
        width=32, heads=2, doors=(Door(embedder=ClassIds(classes=10)),), blocks=repeat(block or Block(), 3)
    )
    model = config.build().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(parameter.shape[-1], 1) ** 0.5)
    return model


@pytest.fixture(scope="module")
def call():
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0.1, 0.5, 0.9]), Condition.of(label=torch.tensor([0, 3, 9]))


@pytest.fixture(scope="module")
def model():
    return built()


def test_the_model_does_something(model, call):
    assert model(*call).pred.abs().mean() > 0.1


def test_no_span_shortened(model, call):
    assert torch.equal(model(*call, keep={}).pred, model(*call).pred)


def test_one_window_over_everything(model, call):
    windowed = Block(
        branches=(Branch(name="attn", mixer=Attention(mask=Window(radius=8))), Branch(name="ffn", mixer=Gelu()))
    )
    other = built(windowed)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(*call).pred, model(*call).pred)


def test_taps_on_every_site(model, call):
    seen = []

    def tap(inner, args, step):
        seen.append(inner)
        return inner(*args)

    plain = model(*call).pred
    sites = [s for s in model.sites() if not s.startswith("blocks[")] + ["blocks[0:2]"]  # runs of blocks must nest
    with install(model, dict.fromkeys(sites, tap)), use_step(Step(seed=0, sample=torch.arange(3))):
        assert torch.equal(model(*call).pred, plain)
    assert len(seen) > 10
    assert torch.equal(model(*call).pred, plain)
    assert "_site_handlers" not in model.__dict__


def test_no_edits(model, call):
    plain = model(*call).pred
    assert torch.equal(apply_edits(model, ())(*call).pred, plain)


def test_guidance_of_one(model, call):
    sampler = Sampler(steps=4)
    inputs = {"shape": (1, 8, 8), "step": Step(seed=0, sample=torch.arange(3)), "cond": call[2]}
    plain = sampler.sample(model, Gaussian(), **inputs)
    assert torch.equal(replace(sampler, guidance=cfg(1.0)).sample(model, Gaussian(), **inputs), plain)
    assert not torch.equal(replace(sampler, guidance=cfg(2.0)).sample(model, Gaussian(), **inputs), plain)

"""References computed once: the same samples, fewer multiply-adds, refusals where it would not be exact."""

from __future__ import annotations

import pytest
import torch

from frisket.adapters.reference import Reference, RestrictAttention
from frisket.caching.references import References
from frisket.core import FrisketError, apply_edits
from frisket.core.condition import Condition
from frisket.core.step import Step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.positions import Rotary
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun
from frisket.testing import check_config

G = torch.Generator().manual_seed(0)
A, B = (torch.randn(3, 1, 8, 8, generator=G) for _ in range(2))
LABEL = torch.tensor([0, 2, 1])
EDITS = (Reference(name="a"), Reference(name="b", offset=(0.0, 1.0)), RestrictAttention())


def randomised(*edits):
    config = Transformer(
        width=16, heads=2, positions=Rotary(), doors=(Door(embedder=ClassIds(classes=3)),), blocks=repeat(Block(), 2)
    )
    model = config.build()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.2, generator=g)
    return apply_edits(model, edits)


def sampled(model, sampler, **references):
    step = Step(seed=3, sample=torch.arange(3))
    return sampler.sample(model, Gaussian(), shape=(1, 8, 8), step=step, cond=Condition.of(label=LABEL, **references))


@pytest.mark.parametrize(
    "sampler", [Sampler(steps=4), Sampler(steps=3, update=Heun()), Sampler(steps=3, guidance=cfg(2.0))]
)
def test_samples_are_those_without_the_cache(sampler):
    model = randomised(*EDITS)
    plain = sampled(model, sampler, a=A, b=B)
    with References().install(model) as report:
        again = sampled(model, sampler, a=A, b=B)
    assert torch.allclose(again, plain, atol=1e-5)
    assert report.share < 0.75
    assert report.bytes > 0
    assert 0 < report.full < len(report.forwards)


def test_another_reference_is_computed_anew():
    model = randomised(*EDITS)
    with References().install(model):
        one, two = (sampled(model, Sampler(steps=3), a=x, b=B) for x in (A, -A))
    assert torch.allclose(two, sampled(model, Sampler(steps=3), a=-A, b=B), atol=1e-5)
    assert not torch.allclose(one, two, atol=1e-2)


def test_without_references_nothing_is_spared():
    model = randomised(*EDITS)
    plain = sampled(model, Sampler(steps=3))
    with References().install(model) as report:
        assert torch.equal(sampled(model, Sampler(steps=3)), plain)
    assert report.share == 1.0


def test_where_it_would_not_be_exact_it_is_refused():
    check_config(References())
    with pytest.raises(FrisketError, match="no references"):
        References().mount(randomised())
    with pytest.raises(FrisketError, match="must be isolated"):
        References().mount(randomised(Reference(name="a")))
    with pytest.raises(FrisketError, match="a is modulated at the state's time"):
        References().mount(randomised(Reference(name="a", time=None), RestrictAttention()))

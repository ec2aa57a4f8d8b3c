"""The held-out loss of x alone: the plain one where there is nothing else, and blind to what an entry costs."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.codecs.beside import Beside
from frisket.codecs.pixels import Pixels
from frisket.codecs.summary import Summary
from frisket.data.digits import Digits
from frisket.evaluation.heldout import heldout_loss
from frisket.evaluation.scores.base import score_of
from frisket.evaluation.scores.entry import Entry
from frisket.experiments.measures import better_of, take
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.processes.gaussian import Gaussian
from frisket.processes.joint import Joint
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.testing.backbones import stir


def test_of_one_tensor_it_is_the_held_out_loss():
    assert score_of("flow_loss") is Entry
    assert better_of("flow_loss") == "less"
    own = pipeline()
    found = take(own, Digits(), ("flow_loss", "loss"), n=12)
    assert found["flow_loss"] == pytest.approx(found["loss"])
    assert found["loss"] > 0


def joint(weight):
    source = Digits().open("train")
    codec = Beside(main=Pixels(), entries={"cls": Summary(network=PatchEncoder(width=8, depth=1, patch=4))}).fit(source)
    model = Transformer(width=16, heads=2, blocks=repeat(Block(), 1))
    model = model.fit(codec.build().spec(source.info), 1, {"label": 10}).build()
    stir(model, 0.1)
    process = Joint(entries={"x": Gaussian(), "cls": Gaussian()}, weights={"cls": weight})
    return Pipeline(model, process, codec, Sampler(steps=2), source.info)


def test_what_stands_beside_x_does_not_count():
    cheap, dear = joint(0.0), joint(5.0)
    dear.model, dear.coder = cheap.model, cheap.coder
    one, other = (Entry().take(p, Digits(), 10, 0)["flow_loss"] for p in (cheap, dear))
    assert one == other
    source = Digits().open("test")
    with torch.no_grad():
        both = [heldout_loss(p.model, p.process, p.coder, source, n=10).mean.value for p in (cheap, dear)]
    assert both[0] == pytest.approx(one)
    assert both[1] > one + 0.5

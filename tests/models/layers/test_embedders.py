"""Embedders: formulas, nulls, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.init import build_real
from frisket.models.layers.embedders import ClassIds, Features, FeaturesMlp, Image, Number, TextIds, Timeless, Timestep
from frisket.models.tokens import Tokens

DROP = torch.tensor([True, False, False])
CPU = torch.device("cpu")
RAW = {
    "class": (ClassIds(classes=4), torch.tensor([0, 1, 3])),
    "classes": (ClassIds(classes=4), torch.tensor([[0, 1], [1, 1], [2, 3]])),
    "number": (Number(), torch.tensor([0.1, 0.5, 0.9])),
    "text": (TextIds(vocabulary=9, length=6), torch.arange(15).reshape(3, 5) % 9),
    "features": (Features(features=7), torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))),
    "features_mlp": (FeaturesMlp(features=7), torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))),
    "image": (Image(channels=2), torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1))),
}


def built(config, width=16):
    return build_real(lambda: config.build(width))


def plain(value):
    return value.h if isinstance(value, Tokens) else value


def test_sinusoid_is_cosines_then_sines():
    module = built(Timestep(frequencies=8, period=100.0))
    got = module.sinusoid(torch.tensor([3.0]))[0]
    freqs = [math.exp(-math.log(100.0) * k / 4) for k in range(4)]
    wanted = [math.cos(3 * f) for f in freqs] + [math.sin(3 * f) for f in freqs]
    assert got.tolist() == pytest.approx(wanted, abs=1e-6)


def test_frequencies_stay_exact_in_bfloat16():
    fine = built(Timestep())
    coarse = built(Timestep()).to(torch.bfloat16)
    t = torch.tensor([999.0])
    assert torch.equal(coarse.sinusoid(t), fine.sinusoid(t))
    assert coarse(t, 1, CPU).dtype == torch.bfloat16


def test_a_missing_time_is_refused_unless_timeless():
    with pytest.raises(FrisketError, match="t is missing"):
        built(Timestep())(None, 3, CPU)
    timeless = built(Timeless())
    assert torch.equal(timeless(None, 3, CPU), timeless(torch.rand(3), 3, CPU))
    assert timeless(None, 3, CPU).shape == (3, 16)


@pytest.mark.parametrize("name", RAW)
def test_a_dropped_row_is_the_null_whatever_the_value(name):
    config, value = RAW[name]
    module = built(config)
    for p in module.parameters():
        torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(2))
    kept, dropped = plain(module(value, None)), plain(module(value, DROP))
    other = plain(module(value.flip(0), DROP))
    assert torch.equal(dropped[0], other[0])
    assert not torch.equal(dropped[0], kept[0])
    assert torch.equal(dropped[1:], kept[1:])
    assert dropped.shape == kept.shape


def test_the_null_of_a_class_is_its_last_row():
    module = built(ClassIds(classes=4))
    assert torch.equal(module(torch.tensor([2]), torch.tensor([True]))[0], module.table.weight[4])


def test_classes_must_be_known():
    with pytest.raises(FrisketError, match=r"classes = 0 .* fit\(\)"):
        ClassIds().build(8)


def test_padding_is_not_valid_but_a_null_is():
    module = built(TextIds(vocabulary=9, length=6, pad=0))
    tokens = module(torch.tensor([[3, 0, 0], [1, 2, 0], [0, 0, 0]]), DROP)
    assert tokens.valid.tolist() == [[True, True, True], [True, True, False], [False, False, False]]


def test_words_know_their_places():
    module = built(TextIds(vocabulary=9, length=6))
    h = module(torch.tensor([[3, 3]]), None).h
    assert not torch.equal(h[0, 0], h[0, 1])
    with pytest.raises(FrisketError, match="text length = 7"):
        module(torch.zeros(1, 7, dtype=torch.int64), None)


def test_an_image_must_have_its_channels():
    with pytest.raises(FrisketError, match="channels"):
        built(Image(channels=2))(torch.zeros(1, 3, 4, 4), None)

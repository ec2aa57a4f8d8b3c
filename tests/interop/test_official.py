"""The registry of official systems and the bookkeeping of names."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.interop import official
from frisket.interop.official import Taken, load_official, renamed
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block


def test_an_unknown_system_is_refused_by_name():
    with pytest.raises(FrisketError, match="official system 'dti'; did you mean 'dit'"):
        load_official("dti", {})


def test_taken_counts_numbered_layers():
    assert Taken({"a.0.w": torch.zeros(1), "a.1.w": torch.zeros(1), "b": torch.zeros(1)}).depth("a.") == 2
    with pytest.raises(FrisketError, match="expected 0, 1, 2"):
        Taken({"a.0.w": torch.zeros(1), "a.2.w": torch.zeros(1)}).depth("a.")


def test_renamed_takes_biases_where_there_are_some():
    weights = Taken({"x.a.weight": torch.ones(1), "x.a.bias": torch.zeros(1), "x.b.weight": torch.ones(1)})
    assert set(renamed(weights, {"a": "A", "b": "B"}, "x.", "y.")) == {"y.A.weight", "y.A.bias", "y.B.weight"}
    assert weights.used == set(weights.weights)


def test_a_new_system_is_one_function(monkeypatch):
    monkeypatch.setattr(official, "_loaders", dict(official._loaders))
    config = Transformer(width=8, heads=2, blocks=(Block(),))

    @official.official("mine")
    def load(weights, /, *, sign):
        return config, {k: sign * weights(k) for k in weights.weights}

    state = config.build().state_dict()
    loaded = load_official("mine", state, sign=-1).state_dict()
    assert all(torch.equal(loaded[k], -v) for k, v in state.items())
    short = {k: v for k, v in state.items() if k != "input.linear.bias"}
    with pytest.raises(FrisketError, match=r"unfilled input\.linear\.bias"):
        load_official("mine", short, sign=1)

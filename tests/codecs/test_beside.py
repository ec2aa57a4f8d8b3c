"""Several entries from one item: each its codec's own, one of them decoded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frisket.codecs.base import Spec
from frisket.codecs.beside import Beside
from frisket.codecs.pixels import Pixels
from frisket.codecs.summary import Sampled
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.testing import check_config

X = Digits().open("train").batch(torch.arange(5))["x"]


class Corner(nn.Module):
    """The first numbers of an image, by a factor that it can take from a pipeline."""

    stochastic = True

    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.ones(()))

    def fit(self, source):
        return self

    def build(self):
        return self

    def encode(self, x, draw=None):
        return x.flatten(1)[:, 20:24] * self.factor

    def spec(self, info):
        return Spec(kind="continuous", shape=(4,))

    def take(self, given):
        self.factor.fill_(given["factor"])


def test_every_entry_is_its_codecs_and_x_alone_is_decoded():
    check_config(Beside(entries={"cls": Sampled(numbers=3)}))
    config = Beside(main=Pixels(fitted=True), entries={"a": Corner(), "b": Pixels()}).fit(Digits().open("train"))
    assert config.main.mean != (0.5,)
    codec = config.build()
    state = codec.encode(X)
    assert list(state) == ["x", "a", "b"]
    assert torch.equal(state["x"], config.main.encode(X))
    assert torch.equal(state["a"], X.flatten(1)[:, 20:24])
    torch.testing.assert_close(codec.decode({"x": state["x"], "a": state["a"] + 9}), X)


def test_the_spec_names_every_entry():
    spec = Beside(entries={"a": Corner()}).build().spec(Digits().open().info)
    assert spec.shape == (1, 8, 8)
    assert spec.shapes == {"x": (1, 8, 8), "a": (4,)}
    assert Spec(kind="continuous", shape=(3,)).shapes == (3,)


def test_weights_are_its_own_and_can_be_taken():
    codec = Beside(entries={"a": Corner()}).build()
    assert [name for name, _ in codec.named_buffers()] == ["weighed.a.factor"]
    codec.take({"factor": 2.0})
    assert torch.equal(codec.encode(X)["a"], 2 * X.flatten(1)[:, 20:24])
    assert codec.stochastic is False
    main = Beside(main=Corner(), entries={"b": Pixels()}).build()
    assert main.stochastic
    assert "main.factor" in main.state_dict()


def test_what_cannot_be_an_entry_is_refused():
    for names in ({}, {"x": Pixels()}, {"no name": Pixels()}):
        with pytest.raises(FrisketError, match="entries"):
            Beside(entries=names)

    class Symbols(Corner):
        def spec(self, info):
            return Spec(kind="ids", shape=(4,), vocabulary=3)

    ids = Beside(entries={"text": Symbols()}).build()
    with pytest.raises(FrisketError, match="no continuous"):
        ids.spec(Digits().open().info)
    nested = Beside(main=Beside(entries={"a": Corner()}), entries={"b": Pixels()}).build()
    with pytest.raises(FrisketError, match="no continuous"):
        nested.spec(Digits().open().info)

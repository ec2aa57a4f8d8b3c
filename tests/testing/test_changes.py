from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from frisket.core import Dispatch, register
from frisket.testing import check_edit, check_handler

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4)])

    def sites(self):
        return ["model"]

    def forward(self, x):
        def plain(x):
            for layer in self.layers:
                x = layer(x)
            return x

        return Dispatch(self)("model", plain, x)


class ChainConfig:
    def build(self):
        return Chain()


@register("edit/append-of-tests")
@dataclass(frozen=True, kw_only=True)
class Append:
    """Append a layer; `fault` names the broken promise."""

    fault: str = ""

    def build(self, model):
        layer = nn.Linear(4, 4, bias=not (self.fault == "meta" and model.layers[0].weight.is_meta))
        if not layer.weight.is_meta and self.fault != "values":
            with torch.no_grad():
                layer.weight.copy_(torch.eye(4)), layer.bias.zero_()
        model.layers.append(layer)

    def carry(self, weights):
        return {} if self.fault == "carry" else dict(weights)


def run(model):
    return model(X)


def test_a_sound_edit_passes():
    check_edit(Append(), ChainConfig(), run, exact=0)


@pytest.mark.parametrize(
    ("fault", "complaint"), [("meta", "another structure on meta"), ("values", "changes the output")]
)
def test_a_broken_edit_is_named(fault, complaint):
    with pytest.raises(AssertionError, match=f"edit/append-of-tests: .*{complaint}"):
        check_edit(Append(fault=fault), ChainConfig(), run, exact=0)


class Sticky:
    """Leaves a hook of its own on what it meets."""

    def __init__(self, model):
        self.model = model

    def __deepcopy__(self, memo):
        return self

    def __call__(self, call, args, step):
        with torch.no_grad():
            self.model.layers[0].bias.add_(1)
        return call(*args) + 1


def test_sound_handlers_pass():
    check_handler(lambda call, args, step: call(*args), Chain(), "model", run, changes=False)
    check_handler(lambda call, args, step: call(*args) * 2, Chain(), "model", run)


def test_broken_handlers_are_named():
    with pytest.raises(AssertionError, match="changes nothing"):
        check_handler(lambda call, args, step: call(*args), Chain(), "model", run)
    with pytest.raises(AssertionError, match="changes the output"):
        check_handler(lambda call, args, step: call(*args) * 2, Chain(), "model", run, changes=False)
    with pytest.raises(AssertionError, match="not finite"):
        check_handler(lambda call, args, step: call(*args) / 0, Chain(), "model", run)
    model = Chain()
    with pytest.raises(AssertionError, match="leaves a trace"):
        check_handler(Sticky(model), model, "model", run)

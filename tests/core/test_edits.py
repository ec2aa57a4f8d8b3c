from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from frisket.core import apply_edits
from frisket.core.edits import build_edited


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A config of linear layers."""

    depth: int = 3

    def build(self) -> nn.Sequential:
        return nn.Sequential(*(nn.Linear(4, 4) for _ in range(self.depth)))


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Take out one layer; those behind it move up."""

    index: int

    def build(self, model):
        del model[self.index]

    def carry(self, weights):
        out = {}
        for name, value in weights.items():
            i, rest = name.split(".", 1)
            if int(i) != self.index:
                out[f"{int(i) - (int(i) > self.index)}.{rest}"] = value
        return out


@dataclass(frozen=True, kw_only=True)
class Append:
    """Add a layer that starts as zero."""

    def build(self, model):
        model.append(nn.Linear(4, 4))
        nn.init.zeros_(model[-1].weight), nn.init.zeros_(model[-1].bias)

    def carry(self, weights):
        return dict(weights)


@dataclass(frozen=True, kw_only=True)
class Lost(Append):
    """Carries a weight that no layer takes."""

    def carry(self, weights):
        return {**weights, "nowhere": torch.zeros(1)}


def test_weights_follow_the_structure_and_edits_are_recorded():
    model = Chain().build()
    kept = [model[0].weight.clone(), model[2].weight.clone()]
    same = apply_edits(model, [Drop(index=1)])
    assert same is model
    assert [torch.equal(layer.weight, w) for layer, w in zip(model, kept, strict=True)] == [True, True]
    assert model.edits == (Drop(index=1),)


def test_edits_apply_in_order_and_add_up():
    model = Chain().build()
    last = model[2].weight.clone()
    apply_edits(model, [Drop(index=0), Append()])
    apply_edits(model, [Drop(index=0)])
    assert torch.equal(model[0].weight, last)
    assert model[1].weight.abs().sum() == 0
    assert model.edits == (Drop(index=0), Append(), Drop(index=0))


def test_what_is_not_carried_keeps_its_fresh_values():
    model = apply_edits(Chain(depth=1).build(), [Append()])
    assert len(model) == 2
    assert model[1].weight.abs().sum() == 0


def test_a_saved_model_is_config_edits_and_weights():
    model = apply_edits(Chain().build(), [Drop(index=1), Append()])
    again = build_edited(Chain(), model.edits)
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), model(x))
    assert again.edits == model.edits


def test_an_edited_model_builds_on_meta():
    with torch.device("meta"):
        model = build_edited(Chain(), [Drop(index=1), Append()])
    assert [p.device.type for p in model.parameters()] == ["meta"] * 6


def test_edits_do_not_reach_back_into_the_old_weights():
    model = Chain(depth=1).build()
    old = model[0].weight.detach().clone()
    apply_edits(model, [Append()])
    with torch.no_grad():
        model[0].weight.add_(1)
    assert torch.equal(model[0].weight, old + 1)


def test_a_weight_that_lands_nowhere_is_an_error():
    with pytest.raises(RuntimeError, match="nowhere"):
        apply_edits(Chain().build(), [Lost()])

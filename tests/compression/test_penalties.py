"""Penalties by hand, and their registered round trip."""

from __future__ import annotations

import math

import pytest
import torch

from frisket.compression.penalties import Bounded, Expected, Norm
from frisket.core import FrisketError, from_config, to_config

LAYERS = [torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.0, 1.0])]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_bounded_is_the_mean_sigmoid_for_power_one():
    each = [sum(sigmoid(0.4 * v + 1) for v in layer.tolist()) / len(layer) for layer in LAYERS]
    assert Bounded().of(LAYERS).item() == pytest.approx(sum(each) / 2, rel=1e-6)
    root = [math.sqrt(sum(sigmoid(0.4 * v + 1) ** 2 for v in layer.tolist())) / len(layer) for layer in LAYERS]
    assert Bounded(power=2).of(LAYERS).item() == pytest.approx(sum(root) / 2, rel=1e-6)


def test_norm_and_expected_by_hand():
    assert Norm().of(LAYERS).item() == pytest.approx((1.5 / 2 + 3.0 / 3) / 2)
    offset = 0.83 * math.log(0.1 / 1.1)
    each = [sum(sigmoid(v - offset) for v in layer.tolist()) for layer in LAYERS]
    assert Expected().of(LAYERS).item() == pytest.approx(sum(each) / 2, rel=1e-6)


@pytest.mark.parametrize("penalty", [Bounded(), Bounded(power=2), Expected()])
def test_closing_a_gate_costs_less(penalty):
    logits = torch.tensor([1.0, 1.0], requires_grad=True)
    penalty.of([logits]).backward()
    assert (logits.grad > 0).all()
    assert from_config(to_config(penalty)) == penalty


def test_nothing_costs_nothing_and_other_powers_are_refused():
    assert Bounded().of([]).item() == 0.0
    for part in (Bounded, Norm):
        with pytest.raises(FrisketError, match="1 or 2"):
            part(power=3)

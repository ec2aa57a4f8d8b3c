"""Parity measured on stored arrays."""

from __future__ import annotations

import numpy as np
import pytest

from frisket.core import FrisketError
from frisket.experiments.recipes import load_recipe, recipe_names
from frisket.interop.golden import GOLDEN, forward_difference, golden


def test_the_arrays_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights, inputs, out = golden("dit")
    assert set(inputs) == {"x", "t", "y"}
    assert len(weights) > 20
    assert out.shape == (3, 6, 8, 8)


@pytest.mark.parametrize("name", [n for n in recipe_names() if load_recipe(n).parity])
def test_every_recipe_with_code_is_within_its_limit(name):
    parity = load_recipe(name).parity
    assert 0 <= parity.difference() <= parity.limit


def test_a_changed_weight_is_a_difference(tmp_path):
    with np.load(GOLDEN / "dit_forward.npz", allow_pickle=False) as held:
        arrays = {k: held[k] for k in held.files}
    arrays["w/blocks.0.mlp.fc1.weight"] = arrays["w/blocks.0.mlp.fc1.weight"] * 1.01
    np.savez(tmp_path / "dit_forward.npz", **arrays)
    assert forward_difference("dit", num_heads=4) < 1e-5
    assert forward_difference("dit", tmp_path, num_heads=4) > 1e-4


def test_arrays_that_are_not_at_hand_are_an_error(tmp_path):
    with pytest.raises(FrisketError, match="does not exist; parity is measured in the source tree"):
        golden("dit", tmp_path)

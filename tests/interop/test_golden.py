from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.interop.golden import forward_difference, golden

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("name", "facts"), [("dit", {"num_heads": 4}), ("sit", {"num_heads": 4}), ("mdlm", {"num_heads": 4, "length": 16})]
)
def test_our_outputs_equal_the_official_ones(name, facts):
    assert forward_difference(name, GOLDEN, **facts) <= 1e-5


def test_another_number_of_heads_is_noticed():
    assert forward_difference("dit", GOLDEN, num_heads=2) > 1e-3


def test_arrays_are_told_apart_by_their_names():
    weights, inputs, out = golden("dit", GOLDEN)
    assert {"x", "t", "y"} == set(inputs)
    assert "pos_embed" in weights
    assert out.shape == (3, 6, 8, 8)
    assert all(torch.isfinite(w).all() for w in weights.values())


def test_outside_the_source_tree_it_says_so(tmp_path):
    with pytest.raises(FrisketError, match="source tree"):
        golden("dit", tmp_path)


def test_the_arrays_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert forward_difference("dit", num_heads=4) <= 1e-5


def test_a_changed_weight_is_a_difference(tmp_path):
    with np.load(GOLDEN / "dit_forward.npz", allow_pickle=False) as held:
        arrays = {k: held[k] for k in held.files}
    arrays["w/blocks.0.mlp.fc1.weight"] = arrays["w/blocks.0.mlp.fc1.weight"] * 1.01
    np.savez(tmp_path / "dit_forward.npz", **arrays)
    assert forward_difference("dit", tmp_path, num_heads=4) > 1e-4

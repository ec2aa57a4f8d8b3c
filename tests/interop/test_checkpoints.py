"""Weights out of files: wrapped ones, and what is refused. `tests/cli/test_import_verb.py` has the broken files."""

from __future__ import annotations

import argparse

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.files import save_tensors
from frisket.interop.checkpoints import read_weights

WEIGHTS = {"a.weight": torch.arange(3.0), "b": torch.ones(2)}
OTHER = {"a.weight": torch.zeros(3), "b": torch.zeros(2)}


def same(found):
    return set(found) == set(WEIGHTS) and all(torch.equal(found[k], v) for k, v in WEIGHTS.items())


@pytest.mark.parametrize(
    "held",
    [
        WEIGHTS,
        {"model": OTHER, "ema": WEIGHTS, "opt": {"step": 3}, "args": argparse.Namespace(depth=3)},
        {"model": WEIGHTS, "step": 4},
        {"state_dict": WEIGHTS, "ema": {"decay": 0.9, "shadow_params": [torch.zeros(1)]}},
        {"model": {f"module.{k}": v for k, v in WEIGHTS.items()}},
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
def test_weights_are_found_in_their_wrapper(held, suffix, tmp_path):
    torch.save(held, tmp_path / f"a{suffix}")
    assert same(read_weights(tmp_path / f"a{suffix}"))


def test_safetensors_are_read(tmp_path):
    save_tensors(tmp_path / "a.safetensors", WEIGHTS)
    assert same(read_weights(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([torch.zeros(1)], "holds list, not weights"),
        ({"step": 3, "epoch": 4}, "holds no weights by name.*; it holds step, epoch"),
        (argparse.Namespace(depth=3), "holds Namespace"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(held, said, tmp_path):
    torch.save(held, tmp_path / "a.pt")
    with pytest.raises(FrisketError, match=said):
        read_weights(tmp_path / "a.pt")


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(FrisketError, match=r"\.pt, \.pth, \.ckpt, \.bin or \.safetensors"):
        read_weights(tmp_path / "a.npz")

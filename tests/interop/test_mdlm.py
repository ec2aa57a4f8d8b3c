"""Parity with the official DDiT forward at equal weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.interop.official import load_official

GOLDEN = Path(__file__).parent.parent / "golden" / "mdlm_forward.npz"


@pytest.fixture
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


def weights_of(held):
    return {k[2:]: v for k, v in held.items() if k.startswith("w/")}


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_logits_equal_the_official_forward(held, prefix):
    weights = {prefix + k: v for k, v in weights_of(held).items()}
    model = load_official("mdlm", weights, num_heads=4, length=16)
    got = model(held["in/x"], torch.rand(3)).pred  # without time conditioning, the time given changes nothing
    assert got.shape == (3, 16, 12)
    assert held["out"].std() > 0.3
    torch.testing.assert_close(got, held["out"], rtol=1e-5, atol=1e-5)


def test_conditioned_on_time_it_reads_sigma(held):
    model = load_official("mdlm", weights_of(held), num_heads=4, length=16, time_conditioning=True)
    torch.testing.assert_close(model(held["in/x"], torch.zeros(3)).pred, held["out"], rtol=1e-5, atol=1e-5)
    assert (model(held["in/x"], torch.ones(3)).pred - held["out"]).abs().max() > 1e-3


def test_unknown_names_are_listed(held):
    with pytest.raises(FrisketError, match=r"nothing reads: blocks\.0\.gate"):
        load_official("mdlm", {**weights_of(held), "blocks.0.gate": torch.zeros(2)}, num_heads=4, length=16)

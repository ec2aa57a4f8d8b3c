"""The gated network equals the official one, its masks and the logits' gradients too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.interop.golden import GOLDEN
from frisket.interop.tinyfusion import gated_difference, load_gated, run_gated


def test_outputs_are_the_official_ones():
    assert gated_difference() < 1e-5


def test_masks_and_gradients_of_logits_are_the_official_ones():
    model, gates, inputs, _ = load_gated()
    mask, pred = run_gated(model, gates, inputs)
    assert torch.equal(mask.detach(), inputs["mask"])
    pred.square().mean().backward()
    with np.load(GOLDEN / "tinyfusion_forward.npz", allow_pickle=False) as held:
        for g, logits in enumerate(gates.logits):
            torch.testing.assert_close(logits.grad, torch.from_numpy(held[f"grad/{g}"]), rtol=1e-4, atol=1e-5)


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(FrisketError, match="tinyfusion_forward"):
        gated_difference(tmp_path)

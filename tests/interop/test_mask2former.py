"""Parity of both heads with official code at equal weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.core.sites import Dispatch
from frisket.interop.golden import GOLDEN
from frisket.interop.mask2former import heads_difference, load_heads, predict
from frisket.models.backbones.queries.focus import Everywhere, Predicted


def stored():
    with np.load(GOLDEN / "mask2former_forward.npz", allow_pickle=False) as held:
        arrays = {k: torch.from_numpy(held[k]).float() for k in held.files}
    weights = {k.removeprefix("w/"): v for k, v in arrays.items() if k.startswith("w/")}
    return weights, [arrays[f"in/res{i}"] for i in (2, 3, 4, 5)], arrays


def test_outputs_equal_the_official_heads():
    assert stored()[2]["out/masks"].std() > 0.3  # random weights: the comparison is not of zeros
    assert heads_difference() < 1e-5


def test_the_stored_case_has_empty_and_partial_rows():
    weights, maps, _ = stored()
    pixels, decoder = load_heads(weights, heads=4)
    shares = []

    class Note:
        def mask(self, logits, size):
            mask = Predicted().mask(logits, size)
            shares.append(mask.table.float().mean(-1))
            return mask

    decoder.focus = Note()
    predict(pixels, decoder, maps)
    seen = torch.cat([s.flatten() for s in shares])
    assert bool((seen == 0).any())
    assert bool(((seen > 0) & (seen < 1)).any())


def test_plain_attention_would_be_noticed():
    weights, maps, arrays = stored()
    pixels, decoder = load_heads(weights, heads=4)
    decoder.focus = Everywhere()
    assert (predict(pixels, decoder, maps)[-1].masks - arrays["out/masks"]).abs().max() > 1e-2


def test_another_number_of_heads_would_be_noticed():
    weights, maps, arrays = stored()
    pixels, decoder = load_heads(weights, heads=4)
    for layer in decoder.layers:
        layer.cross.heads = 2
    with torch.no_grad():
        found = decoder(pixels(maps), Dispatch(decoder))
    assert (found[-1].masks - arrays["out/masks"]).abs().max() > 1e-2


def test_names_that_are_missing_or_unknown_are_named():
    weights = stored()[0]
    with pytest.raises(FrisketError, match=r"nothing reads: predictor\.extra"):
        load_heads({**weights, "predictor.extra": torch.zeros(1)}, heads=4)
    del weights["predictor.mask_embed.layers.1.weight"]
    with pytest.raises(FrisketError, match=r"lack 'predictor\.mask_embed\.layers\.1\.weight'"):
        load_heads(weights, heads=4)


def test_arrays_that_are_not_at_hand_are_an_error(tmp_path):
    with pytest.raises(FrisketError, match="parity is measured in the source tree"):
        heads_difference(tmp_path)

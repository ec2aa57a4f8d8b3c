"""Mask costs: closed forms, pairs equal to one by one, and the official functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from frisket.tasks.sets.costs import cross_entropy, dice, pair_cross_entropy, pair_dice

GOLDEN = Path(__file__).parents[2] / "golden" / "mask2former_functions.npz"
GENERATOR = torch.Generator().manual_seed(0)
LARGE = 60.0  # a logit whose probability is 1


@given(inside=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_dice_of_equal_binary_masks_is_zero(inside):
    truth = (torch.arange(9)[None] < inside).float()
    assert float(dice(LARGE * (2 * truth - 1), truth)) == pytest.approx(0, abs=1e-6)


def test_dice_of_disjoint_masks():
    truth = torch.tensor([[1.0, 1, 0, 0]])
    assert float(dice(LARGE * (1 - 2 * truth), truth)) == pytest.approx(1 - 1 / 5)


def test_cross_entropy_of_no_knowledge_is_log_two():
    assert float(cross_entropy(torch.zeros(1, 5), torch.ones(1, 5))) == pytest.approx(np.log(2))


def test_cross_entropy_is_torchs():
    logits, truth = torch.randn(3, 7, generator=GENERATOR), torch.rand(3, 7, generator=GENERATOR)
    wanted = torch.stack(
        [functional.binary_cross_entropy_with_logits(a, b) for a, b in zip(logits, truth, strict=True)]
    )
    torch.testing.assert_close(cross_entropy(logits, truth), wanted)


@pytest.mark.parametrize(("pairs", "one"), [(pair_cross_entropy, cross_entropy), (pair_dice, dice)])
def test_all_pairs_are_every_pair(pairs, one):
    logits = 2 * torch.randn(2, 4, 11, generator=GENERATOR)
    truth = (torch.rand(2, 3, 11, generator=GENERATOR) > 0.5).float()
    found = pairs(logits, truth)
    for q in range(4):
        for t in range(3):
            torch.testing.assert_close(found[:, q, t], one(logits[:, q], truth[:, t]))


@pytest.mark.parametrize(("pairs", "name"), [(pair_cross_entropy, "batch_ce"), (pair_dice, "batch_dice")])
def test_pairs_equal_the_official_matchers(pairs, name):
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {k: torch.from_numpy(held[k]) for k in ("masks/0", "target_masks", name)}
    logits = g["masks/0"][:1].flatten(2)
    truth = g["target_masks"][:1, :, ::4, ::4].float().flatten(2)
    torch.testing.assert_close(pairs(logits, truth)[0], g[name], rtol=1e-5, atol=1e-5)

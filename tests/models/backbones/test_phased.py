"""Stacks that several phases share: who passes, and which positions are added."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core.sites import Dispatch
from frisket.models.backbones.masked_tokens import AFFINE, PLAIN
from frisket.models.backbones.phased import PhasedStack, compact
from frisket.models.init import build_real


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_compact_keeps_the_kept_in_order_and_marks_padding(seed):
    kept = torch.rand(3, 7, generator=torch.Generator().manual_seed(seed)) < 0.5
    kept[0, 0] = True
    ids, valid = compact(kept)
    assert ids.shape[1] == int(kept.sum(1).max())
    for row in range(3):
        real = ids[row] if valid is None else ids[row][valid[row]]
        assert real.tolist() == kept[row].nonzero()[:, 0].tolist()


def test_padding_changes_nothing_for_the_real_tokens():
    stack = build_real(lambda: PhasedStack((PLAIN,), 8, 2, 1, 6, AFFINE))
    h = torch.randn(2, 5, 8)
    valid = torch.tensor([[True] * 5, [True, True, True, False, False]])
    at = Dispatch(stack)
    padded = stack(0, h, valid, at, 0)
    torch.testing.assert_close(padded[1, :3], stack(0, h[1:, :3], None, at, 0)[0], rtol=1e-5, atol=1e-6)


def test_phases_have_sites_and_positions_of_their_own():
    stack = build_real(lambda: PhasedStack((PLAIN,), 8, 2, 2, 6, AFFINE))
    assert not torch.equal(stack.places_of(0), stack.places_of(1))
    assert stack.places_of(1).shape == (6, 8)
    assert "block[3].attn" in stack.sites(0, 3)
    assert "phase[1].block[3].attn" in stack.sites(1, 3)

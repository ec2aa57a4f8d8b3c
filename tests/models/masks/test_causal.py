"""Order in the sequence and on one axis."""

from __future__ import annotations

import torch

from frisket.models.grid import Grid
from frisket.models.masks.base import View
from frisket.models.masks.causal import Causal, CausalOver
from frisket.models.tokens import Tags

GRID = Grid.of((3, 2))
TAGS = Tags(n=6, coords=GRID.coords())


def table(mask, tags=TAGS):
    at, row = torch.arange(tags.n), torch.zeros(1, 1, 1, dtype=torch.int64)
    return mask.allowed(View(tags, row, at[:, None]), View(tags, row, at[None]))


def test_causal_is_lower_triangular():
    assert torch.equal(table(Causal()), torch.ones(6, 6).tril().bool())


def test_causal_holds_for_chosen_tokens():
    ids = torch.tensor([[4, 1, 3]])
    assert torch.equal(table(Causal(), TAGS.take(ids))[0], ids[0][None] <= ids[0][:, None])


def test_causal_over_frames_sees_the_whole_frame():
    frame = GRID.coords()[:, 0]
    assert torch.equal(table(CausalOver(axis=0)), frame[None] <= frame[:, None])

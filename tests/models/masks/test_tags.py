"""Items, kinds and groups."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.models.masks.base import View
from frisket.models.masks.tags import Region, Segments, Streams
from frisket.models.tokens import Tags


def table(mask, q, k=None):
    k = k or q
    row = torch.zeros(1, 1, 1, dtype=torch.int64)
    return mask.allowed(View(q, row, torch.arange(q.n)[:, None]), View(k, row, torch.arange(k.n)[None]))


def test_segments_are_blocks():
    got = table(Segments(), Tags(n=5, segment=torch.tensor([0, 0, 1, 1, 1])))
    assert torch.equal(got, torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)).bool())


def test_streams_are_pairs():
    tags = Tags(n=3, stream=torch.tensor([0, 0, 1]))
    mask = Streams(pairs=((0, 0), (0, 1)))  # the state reads all, the text nothing
    assert table(mask, tags).tolist() == [[True] * 3, [True] * 3, [False] * 3]
    assert from_config(to_config(mask)) == mask
    with pytest.raises(FrisketError, match="at least one"):
        Streams(pairs=())


def test_regions_bind_words_to_places():
    pixels = Tags(n=3, extra={"group": torch.tensor([[1, 2, 0]])})
    text = Tags(n=4, extra={"group": torch.tensor([[0, 1, 2, 1]])})
    got = table(Region(), pixels, text)[0]
    assert got.tolist() == [[True, True, False, True], [True, False, True, False], [True, False, False, False]]

"""Block weights under new numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frisket.core import FrisketError
from frisket.models.numbering import blocks_of, renumber

WEIGHTS = {f"blocks.{i}.x": torch.tensor(i) for i in range(12)} | {"head.blocks.1": torch.tensor(99)}


def test_blocks_move_and_the_rest_stays():
    out = renumber(WEIGHTS, lambda i: None if i == 3 else i + 10)
    assert "blocks.13.x" not in out
    assert out["blocks.21.x"] == 11
    assert out["head.blocks.1"] == 99
    assert len(out) == 12


def test_a_model_without_blocks_is_refused():
    with pytest.raises(FrisketError, match="Linear has no list of blocks"):
        blocks_of(nn.Linear(1, 1))

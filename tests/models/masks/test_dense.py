"""A table as a mask."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, to_config
from frisket.models.masks.base import View
from frisket.models.masks.dense import Dense
from frisket.models.tokens import Tags

TABLE = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0)) > 0.5


def test_a_table_is_read_at_the_tokens_own_numbers():
    q, k = Tags(n=4).take(torch.tensor([[3, 0], [1, 2]])), Tags(n=5)
    row = torch.arange(2)[:, None, None]
    got = Dense(table=TABLE).allowed(View(q, row, torch.arange(2)[:, None]), View(k, row, torch.arange(5)[None]))
    assert torch.equal(got, torch.stack([TABLE[0, [3, 0]], TABLE[1, [1, 2]]]))


def test_it_is_no_config():
    with pytest.raises(TypeError, match="not registered"):
        to_config(Dense(table=TABLE))


def test_only_bool_tables_are_taken():
    with pytest.raises(FrisketError, match="bool of shape"):
        Dense(table=TABLE.float())
    with pytest.raises(FrisketError, match="bool of shape"):
        Dense(table=TABLE[0, 0])

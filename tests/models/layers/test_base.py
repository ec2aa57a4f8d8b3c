"""What travels beside the tokens."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.layers.base import Side
from frisket.models.tokens import Tokens

A, B = (Tokens.of(torch.full((2, n, 4), float(n))) for n in (3, 5))


def side(**context):
    return Side(grid=Grid.of((3,)), state=3, raw=A.h, context=context)


def test_a_context_by_name_or_all_of_them():
    both = side(a=A, b=B)
    assert both.read("a") is A
    assert torch.equal(both.read(None).h, torch.cat([A.h, B.h], 1))
    with pytest.raises(FrisketError, match="accepted: a, b"):
        both.read("c")
    with pytest.raises(FrisketError, match="accepted: none"):
        side().read(None)


def test_joined_tags_are_made_once():
    beside = side(b=B)
    assert beside.joined(A, B) is beside.joined(A, B)
    assert beside.joined(A, B).n == 8

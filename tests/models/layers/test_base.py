"""What travels beside the tokens."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.condition import Output
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


def test_extras_add_up_over_blocks_and_reach_the_output():
    whole = Side(grid=Grid.of((3,)), state=3, raw=torch.zeros(3, 3, 4))
    whole.lose("balance", torch.tensor(0.5))
    whole.lose("balance", torch.tensor(0.25))
    whole.note("overflow", torch.tensor([1.0, 2.0, 3.0]))
    some = whole.rows(torch.tensor([2, 0]))
    some.note("overflow", torch.tensor([10.0, 20.0]))
    some.rows(torch.tensor([1])).note("overflow", torch.tensor([100.0]))
    some.lose("other", torch.tensor(1.0))
    out = whole.extras.on(Output(A.h, {"own": A.h}, {}))
    assert out.losses == {"balance": torch.tensor(0.75), "other": torch.tensor(1.0)}
    assert out.aux["own"] is A.h
    assert torch.equal(out.aux["overflow"], torch.tensor([121.0, 2.0, 13.0]))
    with pytest.raises(FrisketError, match="both give 'balance'"):
        whole.extras.on(Output(A.h, {}, {"balance": torch.tensor(0.0)}))

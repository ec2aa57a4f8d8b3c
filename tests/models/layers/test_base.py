"""What travels beside the tokens."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.condition import Output
from frisket.models.grid import Grid
from frisket.models.layers.base import Side, whole_grid
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


def test_rows_take_the_plain_condition_along():
    beside = side()
    beside.vector, beside.plain = torch.arange(2.0)[:, None], torch.arange(2.0)[:, None] + 10
    assert beside.rows(torch.tensor([1])).plain.tolist() == [[11.0]]


def test_the_whole_grid_is_asked_for_with_the_reason():
    whole = Tokens.of(torch.zeros(2, 3, 4))
    assert whole_grid(whole, side(), "this") == Grid.of((3,))
    assert whole_grid(whole.take(torch.arange(3).expand(2, -1)), side(), "this") == Grid.of((3,))
    assert whole_grid(Tokens.of(whole.h, valid=torch.ones(3).bool()), side(), "this") == Grid.of((3,))
    cases = {
        "2 of them": whole.take(torch.tensor([[0, 1], [0, 1]])),
        "door": Tokens.of(torch.zeros(2, 5, 4)),
        "another order": whole.take(torch.tensor([[0, 1, 2], [0, 2, 1]])),
        "padding": Tokens.of(whole.h, valid=torch.tensor([True, True, False])),
    }
    for reason, tokens in cases.items():
        with pytest.raises(FrisketError, match=f"this needs the 3 tokens.*{reason}"):
            whole_grid(tokens, side(), "this")


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

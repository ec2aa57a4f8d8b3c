"""Spans, who passes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.models.plans.base import Kept, Plan, Span, asked, draw, kept_of, runs_of
from frisket.models.plans.choose import All, Uniform
from frisket.models.plans.routing import Bypass
from frisket.models.tokens import Tags, Tokens
from frisket.testing import check_plan
from frisket.testing.claims import STEP


def span(name="middle", low=1, high=-1, **more):
    return Span(name=name, low=low, high=high, back=Bypass(), **more)


@pytest.mark.parametrize(
    ("low", "high", "depth", "run"), [(1, -1, 5, (1, 4)), (2, 0, 5, (2, 5)), (-2, 0, 6, (4, 6)), (0, 3, 3, (0, 3))]
)
def test_numbers_below_zero_count_from_the_end(low, high, depth, run):
    assert span(low=low, high=high).run(depth) == run


@pytest.mark.parametrize(("low", "high", "depth"), [(3, -2, 5), (0, 6, 5), (-7, 0, 5), (2, 2, 5)])
def test_a_span_without_blocks_is_refused(low, high, depth):
    with pytest.raises(FrisketError, match="middle"):
        span(low=low, high=high).run(depth)


def test_a_name_that_could_be_a_site_is_refused():
    with pytest.raises(FrisketError, match="identifier"):
        span(name="blocks[0:2]")


def test_spans_that_share_a_name_or_a_block_are_refused():
    with pytest.raises(FrisketError, match="different names"):
        runs_of((span(), span(low=3)), 6)
    with pytest.raises(FrisketError, match="'a' and 'b' share blocks"):
        runs_of((span("a", 0, 3), span("b", 2, 4)), 6)
    assert runs_of((span("a", 0, 2), span("b", 2, 4)), 6) == {"a": (0, 2), "b": (2, 4)}


def test_a_call_may_name_any_run_that_lies_apart_from_the_plan():
    owned = {"middle": (1, 3)}
    assert asked(["blocks[3:5]", "middle"], owned, 5) == {"blocks[3:5]": (3, 5), "middle": (1, 3)}
    with pytest.raises(FrisketError, match="share blocks"):
        asked(["blocks[0:2]"], owned, 5)
    for name in ("midle", "blocks[3:9]", "blocks[3:3]"):
        with pytest.raises(FrisketError, match="span in keep"):
            asked([name], owned, 5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.data())
def test_take_then_put_is_the_identity_and_where_tells_who(n, b, data):
    m = data.draw(st.integers(1, n))
    ids = torch.stack([torch.tensor(data.draw(st.permutations(range(n)))[:m]) for _ in range(b)])
    tokens = Tokens.of(torch.randn(b, n, 3), coords=torch.arange(n).float()[:, None])
    kept = Kept(ids=ids)
    part = kept.take(tokens)
    assert torch.equal(part.tags.coords.squeeze(-1).long(), ids)
    assert torch.equal(kept.put(tokens.h, part.h), tokens.h)
    assert torch.equal(kept.put(torch.zeros_like(tokens.h), part.h) != 0, kept.where(b, n)[..., None] & (tokens.h != 0))


def test_rows_that_skip_keep_what_they_had():
    ids = torch.tensor([[2, 0], [-1, -1], [1, 2]])
    kept = kept_of("middle", ids, 3, 3, 3)
    assert kept.rows.tolist() == [0, 2]
    h = torch.arange(9.0).reshape(3, 3, 1)
    out = kept.put(h, kept.take(Tokens.of(h)).h + 100)
    assert out.squeeze(-1).tolist() == [[100, 1, 102], [3, 4, 5], [6, 107, 108]]
    assert kept.where(3, 3).tolist() == [[True, False, True], [False] * 3, [False, True, True]]


def test_tokens_behind_the_state_always_pass():
    assert kept_of("middle", torch.tensor([[1], [0]]), 2, 5, 3).ids.tolist() == [[1, 3, 4], [0, 3, 4]]


def test_nobody_is_no_column_or_minus_one_everywhere():
    assert kept_of("middle", torch.empty(2, 0, dtype=torch.int64), 2, 3, 3) is None
    assert kept_of("middle", torch.full((2, 2), -1), 2, 3, 3) is None


@pytest.mark.parametrize(
    "ids",
    [
        torch.tensor([[0, 3], [0, 1]]), torch.tensor([[0, -1], [0, 1]]), torch.tensor([[1, 1], [0, 1]]),
        torch.tensor([[-2, -2], [0, 1]]), torch.tensor([[0, 1]]), torch.tensor([0, 1]), torch.rand(2, 2),
    ],
)  # fmt: skip
def test_ids_that_name_no_tokens_are_refused(ids):
    with pytest.raises(FrisketError, match="middle"):
        kept_of("middle", ids, 2, 3, 3)


def test_a_draw_leaves_out_spans_that_everybody_passes_and_differs_between_spans():
    tags = Tags(n=16)
    keep = draw({"a": Uniform(), "b": Uniform(), "c": All(), "d": None}, tags, STEP)
    assert set(keep) == {"a", "b"}
    assert not torch.equal(keep["a"], keep["b"])
    other = draw({"a": Uniform()}, tags, STEP, stream="keep/null/0")
    assert not torch.equal(keep["a"], other["a"])


def test_two_routes_of_one_plan_keep_the_promises():
    check_plan(Plan(spans=(span("a", 0, 2, choose=Uniform()), span("b", 2, 4, choose=Uniform(drop=0.25)))))

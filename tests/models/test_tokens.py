"""take and put move features and all tags together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.models.tokens import Tags, Tokens, gather


def tokens(b, n, seed=0, batched=True):
    g = torch.Generator().manual_seed(seed)

    def ids(*shape):
        return torch.randint(0, 5, shape, generator=g)

    lead = (b,) if batched else ()
    return Tokens.of(
        torch.randn(b, n, 4, generator=g), coords=ids(*lead, n, 2).float(), stream=ids(*lead, n), segment=ids(*lead, n),
        time=ids(b, n), read=ids(n) > 2, valid=ids(b, n) > 1, extra={"noisy": torch.randn(b, n, 3, generator=g)},
    )  # fmt: skip


def picked(b, n, m, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=g)[:m] for _ in range(b)])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 8), st.data())
def test_take_moves_every_tag_with_its_token(b, n, data):
    m, batched = data.draw(st.integers(0, n)), data.draw(st.booleans())
    full, ids = tokens(b, n, batched=batched), picked(b, n, m, 1)
    part = full.take(ids)
    assert part.tags.n == m
    for row in range(b):
        for place, i in enumerate(ids[row].tolist()):
            assert torch.equal(part.h[row, place], full.h[row, i])
            assert torch.equal(part.extra["noisy"][row, place], full.extra["noisy"][row, i])
            assert part.tags.batched("index", b)[row, place] == i
            for name in ("coords", "stream", "segment", "time", "read", "valid"):
                assert torch.equal(part.tags.batched(name, b)[row, place], full.tags.batched(name, b)[row, i])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 8), st.data())
def test_put_undoes_take_and_touches_nothing_else(b, n, data):
    m = data.draw(st.integers(0, n))
    full, ids = tokens(b, n), picked(b, n, m, 2)
    assert torch.equal(full.put(ids, full.take(ids)).h, full.h)
    changed = full.put(ids, full.take(ids).h + 1.0)
    assert changed.tags is full.tags
    moved = torch.zeros(b, n, dtype=torch.bool).scatter(1, ids, True)
    torch.testing.assert_close(changed.h, full.h + moved[..., None])


def test_taking_twice_keeps_the_first_numbers():
    full = tokens(2, 6)
    twice = full.take(torch.tensor([[5, 3, 1], [0, 2, 4]])).take(torch.tensor([[2, 0], [1, 1]]))
    assert twice.tags.index.tolist() == [[1, 5], [2, 2]]


def test_take_of_all_in_order_is_the_same_bit_for_bit():
    full = tokens(3, 5)
    part = full.take(torch.arange(5).expand(3, 5))
    assert torch.equal(part.h, full.h)
    assert torch.equal(part.coords, full.coords)


def test_cat_fills_in_what_a_part_does_not_say():
    state = Tokens.of(torch.ones(2, 3, 4), coords=torch.ones(3, 2))
    text = Tokens.of(torch.zeros(2, 2, 4), stream=torch.ones(2, dtype=torch.int64), read=torch.zeros(2).bool())
    both = Tokens.cat([state, text])
    assert both.h.sum() == 2 * 3 * 4
    assert both.stream.tolist() == [[0, 0, 0, 1, 1]] * 2
    assert both.read.tolist() == [[True, True, True, False, False]] * 2
    assert both.coords[:, 3:].abs().sum() == 0
    assert both.valid is None
    assert torch.equal(both.tags.narrow(3).coords, torch.ones(2, 3, 2))


def test_cat_refuses_different_extras():
    with pytest.raises(FrisketError, match="extras"):
        Tokens.cat([tokens(2, 3), Tokens.of(torch.zeros(2, 1, 4))])


def test_tags_that_do_not_fit_are_refused():
    with pytest.raises(FrisketError, match=r"'stream' of shape \(4,\) does not describe 3 tokens"):
        Tags(n=3, stream=torch.zeros(4))
    with pytest.raises(FrisketError, match="extra 'x'"):
        Tags(n=3, extra={"x": torch.zeros(3)})
    with pytest.raises(FrisketError, match="no coords"):
        Tags(n=3).batched("coords", 2)


def test_a_changed_copy_remembers_nothing():
    tags = Tags(n=3)
    tags.memo["mask"] = 1
    assert tags.change(stream=torch.zeros(3)).memo == {}


def test_gather_follows_the_token_axis():
    values = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(gather(values, torch.tensor([[2], [0]])), torch.stack([values[0, 2:], values[1, :1]]))

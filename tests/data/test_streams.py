import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.streams import BlockStream


class Numbers:
    """Epochs of 0..size-1."""

    def __init__(self, size):
        self.size = size

    def begin(self, epoch, state=None):
        self.at = state["at"] if state else 0

    def state(self):
        return {"at": self.at}

    def next(self):
        if self.at >= self.size:
            return None
        self.at += 1
        return {"id": self.at - 1}


def stream(size, buffer, seed=0):
    collate = lambda items: {"id": torch.tensor([i["id"] for i in items])}  # noqa: E731
    return BlockStream(Numbers(size), Info(kind="ids"), collate, buffer=buffer, seed=seed)


def ids(source, n):
    return source.read(n)["id"].tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.lists(st.integers(1, 17), min_size=1, max_size=6), st.integers(0, 40))
def test_any_state_resumes_exactly_and_reading_in_pieces_changes_nothing(size, buffer, pieces, further):
    one, many = stream(size, buffer), stream(size, buffer)
    whole = ids(one, sum(pieces) + further + 1)
    assert whole == [i for n in [*pieces, further + 1] for i in ids(many, n)]
    cut = stream(size, buffer)
    ids(cut, sum(pieces))
    resumed = stream(size, buffer)
    resumed.restore(json.loads(json.dumps(cut.state())))
    assert ids(resumed, further + 1) == whole[sum(pieces) :]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40))
def test_every_epoch_hands_out_every_item_once(size, buffer):
    source = stream(size, buffer)
    for _ in range(3):
        assert sorted(ids(source, size)) == list(range(size))


def test_a_buffer_of_one_keeps_the_order_and_a_larger_one_shuffles_anew_each_epoch():
    assert ids(stream(5, 1), 7) == [0, 1, 2, 3, 4, 0, 1]
    source = stream(50, 50)
    first, second = ids(source, 50), ids(source, 50)
    assert first != second
    assert ids(stream(50, 50, seed=1), 50) != first
    assert all(i // 10 == k // 10 for k, i in enumerate(ids(stream(50, 10), 50)))


def test_empty_and_changed_sets_are_refused():
    with pytest.raises(FrisketError, match="no readable item"):
        stream(0, 4).read(1)
    source = stream(20, 10)
    source.read(18)
    shorter = stream(12, 10)
    shorter.restore(source.state())
    with pytest.raises(FrisketError, match="have changed"):
        shorter.read(1)

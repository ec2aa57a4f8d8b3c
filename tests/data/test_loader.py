import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data import loader as loader_file
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.loader import Loader, order
from frisket.data.toys import Permutations


class Counting:
    """A stream of 0, 1, 2, ... that fails at `end`."""

    def __init__(self, end: int = 10**9):
        self.info, self.at, self.end = Info(kind="ids", shape=(1,)), 0, end

    def read(self, n):
        if self.at + n > self.end:
            raise FrisketError("the stream broke")
        self.at += n
        x = torch.arange(self.at - n, self.at)
        return {"x": x[:, None], "id": x, "caption": [f"item {i}" for i in x.tolist()]}

    def state(self):
        return {"at": self.at}

    def restore(self, state):
        self.at = state["at"]


class Failing:
    """A source that fails at item 5."""

    info = Info(kind="ids", shape=(1,))

    def batch(self, ids):
        if 5 in ids.tolist():
            raise FrisketError("item 5 is broken")
        return {"x": ids[:, None], "id": ids}


def take(loader, n):
    return list(itertools.islice(iter(loader), n))


def same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.equal(a[name], b[name]) if isinstance(a[name], torch.Tensor) else a[name] == b[name]


def joined(parts):
    return {
        name: torch.cat([p[name] for p in parts]) if isinstance(parts[0][name], torch.Tensor)
        else [v for p in parts for v in p[name]] for name in parts[0]
    }  # fmt: skip


SETS = {"finite": lambda: Digits().open(), "endless": lambda: Permutations().open(), "stream": Counting}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70), st.integers(0, 2**40), st.integers(0, 5))
def test_every_epoch_is_a_permutation(size, seed, epoch):
    ids = order(torch.arange(epoch * size, (epoch + 1) * size), size, seed)
    assert sorted(ids.tolist()) == list(range(size))


def test_epochs_and_seeds_differ_and_a_position_stands_alone():
    position = torch.arange(3000)
    ids = order(position, 1000, 3)
    assert not torch.equal(ids[:1000], ids[1000:2000])
    assert not torch.equal(ids, order(position, 1000, 4))
    some = torch.tensor([2999, 7, 1000, 999])
    assert torch.equal(order(some, 1000, 3), ids[some])
    assert torch.equal(order(some, None, 3), some)


def test_large_sets_have_the_same_kind_of_order(monkeypatch):
    position = torch.arange(500)
    held = order(position, 200, 1)
    monkeypatch.setattr(loader_file, "TABLE", 0)
    assert torch.equal(order(position, 200, 1), held)


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_read_what_one_rank_reads(kind, world):
    alone = take(Loader(SETS[kind](), batch=8, seed=1), 5)
    ranks = [take(Loader(SETS[kind](), batch=8, seed=1, rank=r, world=world), 5) for r in range(world)]
    same(alone, [joined(parts) for parts in zip(*ranks, strict=True)])
    assert torch.equal(alone[3]["position"], torch.arange(24, 32))


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(kind, workers):
    before = torch.get_rng_state()
    same(take(Loader(SETS[kind](), batch=6), 7), take(Loader(SETS[kind](), batch=6, workers=workers), 7))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_restart_continues_behind_the_last_batch_at_any_world_size(kind, workers):
    whole = take(Loader(SETS[kind](), batch=4), 9)
    loader = Loader(SETS[kind](), batch=4, workers=workers)
    same(whole[:3], take(loader, 3))
    state = loader.state()
    assert state["position"] == 12
    resumed = Loader(SETS[kind](), batch=4, workers=workers)
    resumed.restore(state)
    same(whole[3:6], take(resumed, 3))
    again = [Loader(SETS[kind](), batch=4, rank=r, world=2) for r in (0, 1)]
    for rank in again:
        rank.restore(resumed.state())
    same(whole[6:], [joined(parts) for parts in zip(*(take(rank, 3) for rank in again), strict=True)])


def test_a_loader_starts_at_any_position_and_goes_on_with_itself():
    source = Digits().open()
    whole = take(Loader(source, batch=10), 300)
    same(whole[290:], take(Loader(source, batch=10, start=2900), 10))
    loader = Loader(source, batch=10)
    same(whole[:4], take(loader, 2) + take(loader, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_keeps_its_one_line(workers):
    with pytest.raises(FrisketError) as caught:
        take(Loader(Failing(), batch=4, workers=workers), 3)
    assert str(caught.value) == "item 5 is broken"
    loader = Loader(Counting(end=10), batch=4, workers=workers)
    with pytest.raises(FrisketError) as caught:
        take(loader, 3)
    assert str(caught.value) == "the stream broke"
    assert loader.state() == {"position": 8, "stream": {"at": 8}}


def test_refusals():
    source = Digits().open()
    for bad in (
        {"batch": 5, "world": 2},
        {"batch": 4, "rank": 1},
        {"batch": 4, "workers": -1},
        {"batch": 4, "start": -4},
    ):
        with pytest.raises(FrisketError, match="loader"):
            Loader(source, **bad)
    with pytest.raises(FrisketError, match="for a stream"):
        Loader(Counting(), batch=4, start=8)
    with pytest.raises(FrisketError, match="another kind of set"):
        Loader(source, batch=4).restore({"position": 0, "stream": {"at": 0}})


def test_items_are_those_that_a_batch_held():
    source = Digits().open()
    loader = Loader(source, batch=8, seed=3, start=16)
    batch = next(iter(loader))
    assert loader.items(batch["position"]) == batch["id"].tolist()

"""The order of training samples and the loader that follows it: batches are arithmetic on the global position.

Position p of a finite set is item perm_e(p mod size) of epoch e = p // size, where perm_e is a pseudo-random
bijection keyed by (seed, epoch); of an endless set it is item p. A global step is `batch` consecutive positions, of
which rank r of w takes the r-th of w equal runs. So neither the number of ranks or workers nor a restart changes
which samples a step sees.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from frisket.core import random
from frisket.core.errors import FrisketError, check
from frisket.data.base import Batch, Source, Stream

TABLE = 1 << 18  # up to this many items an epoch's order is held in memory


def order(position: Int[Tensor, "b"], size: int | None, seed: int) -> Int[Tensor, "b"]:
    """The item at each global position; every epoch is another permutation of [0, size). size None: the position
    itself."""
    if size is None:
        return position.to(torch.int64)
    check(size >= 1, "size", size, "1 or more")
    epoch, index = position // size, position % size
    ids = torch.empty_like(index)
    for number in epoch.unique().tolist():
        here = epoch == number
        word = (
            int(random.key(seed, torch.tensor([number]), random.hash_text("order"))[0]) >> 2
        )  # leaves room for + turns
        held = size <= TABLE
        ids[here] = _table(size, word)[index[here]] if held else random.permutation_of(index[here], size, word)
    return ids


@lru_cache(maxsize=3)
def _table(size: int, word: int) -> Tensor:
    """A whole epoch's order: the same numbers as one by one, at a fraction of the time a batch."""
    return random.permutation_of(torch.arange(size), size, word)


class Loader:
    """Endless iteration over the batches of one rank, from `start` on.

    Each batch is what the set gives, plus `position` int64 (b,), the global sample index, b = batch / world. batch:
    rows of a global step, over all ranks. start: position of the first one. workers: processes that prepare batches
    ahead (a stream is read ahead by one). `state()` after a batch and `restore()` continue exactly behind it. Of a
    stream every rank reads all rows and keeps its own, which costs reading time and keeps the order exact.
    """

    def __init__(
        self, source: Source | Stream, *, batch: int, seed: int = 0, start: int = 0, rank: int = 0, world: int = 1,
        workers: int = 0, ahead: int = 2,
    ):  # fmt: skip
        check(world >= 1, "loader.world", world, "1 or more")
        check(0 <= rank < world, "loader.rank", rank, f"in 0..{world - 1}")
        check(batch >= 1 and batch % world == 0, "loader.batch", batch, f"a positive multiple of world = {world}")
        check(start >= 0, "loader.start", start, "0 or more")
        check(workers >= 0, "loader.workers", workers, "0 or more")
        check(ahead >= 1, "loader.ahead", ahead, "1 or more")
        self.source, self.batch, self.seed, self.position = source, batch, seed, start
        self.rows = slice(rank * (batch // world), (rank + 1) * (batch // world))
        self.workers, self.ahead = workers, ahead
        self.random_access = hasattr(source, "batch")
        self.stream_state = None if self.random_access else copy.deepcopy(source.state())  # type: ignore[union-attr]
        if not self.random_access:
            check(start == 0, "loader.start", start, "0 for a stream: use restore(state)")

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the present position on; `position` and `state()` follow what was handed out, not what is
        prepared."""
        for batch, state in self._ready():
            if isinstance(batch, FrisketError):
                raise batch
            self.position += self.batch
            self.stream_state = state
            yield batch

    def items(self, position: Int[Tensor, "b"]) -> list[int]:
        """The items of the set at these global positions; [] for a stream, which has no numbers."""
        return order(position, self.source.info.size, self.seed).tolist() if self.random_access else []

    def state(self) -> dict[str, Any]:
        """JSON data: the next position and the stream's state behind the last batch handed out."""
        return {"position": self.position, "stream": copy.deepcopy(self.stream_state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken, at any number of ranks and workers. Iterators made before are void."""
        if self.random_access != (state["stream"] is None):
            raise FrisketError("the saved loader state belongs to another kind of set (random access or stream)")
        self.position, self.stream_state = state["position"], copy.deepcopy(state["stream"])

    def _ready(self) -> Iterable[tuple[Batch | FrisketError, dict | None]]:
        if self.random_access:
            job: Any = _Access(self.source, self.batch, self.rows, self.seed)  # type: ignore[arg-type]
            starts = _Starts(self.position, self.batch)
            if self.workers == 0:
                return (job[start] for start in starts)
            return self._prepared(job, sampler=starts, num_workers=self.workers)
        self.source.restore(copy.deepcopy(self.stream_state))  # type: ignore[union-attr, arg-type]
        job = _Reading(self.source, self.batch, self.rows, self.position)  # type: ignore[arg-type]
        return job if self.workers == 0 else self._prepared(job, num_workers=1)

    def _prepared(self, job: Any, **options: Any) -> DataLoader:
        own = torch.Generator().manual_seed(0)  # else the loader would draw from the global generator
        return DataLoader(job, batch_size=None, prefetch_factor=self.ahead, generator=own, **options)


class _Starts:
    """The first position of each global step, without end."""

    def __init__(self, start: int, batch: int):
        self.start, self.batch = start, batch

    def __iter__(self) -> Iterator[int]:
        position = self.start
        while True:
            yield position
            position += self.batch


class _Access(Dataset):
    """A rank's rows of the global step that begins at a position. Errors travel as values, so their one line
    survives."""

    def __init__(self, source: Source, batch: int, rows: slice, seed: int):
        self.source, self.batch, self.rows, self.seed = source, batch, rows, seed

    def __getitem__(self, start: int) -> tuple[Batch | FrisketError, None]:
        position = torch.arange(start, start + self.batch)[self.rows]
        try:
            return {**self.source.batch(order(position, self.source.info.size, self.seed)), "position": position}, None
        except FrisketError as error:
            return error, None


class _Reading(IterableDataset):
    """A rank's rows of one global step after the other, each with the state of the stream behind it."""

    def __init__(self, stream: Stream, batch: int, rows: slice, start: int):
        self.stream, self.batch, self.rows, self.start = stream, batch, rows, start

    def __iter__(self) -> Iterator[tuple[Batch | FrisketError, dict | None]]:
        position = self.start
        while True:
            try:
                whole = self.stream.read(self.batch)
            except FrisketError as error:
                yield error, None
                return
            mine = {name: value[self.rows] for name, value in whole.items()}
            mine["position"] = torch.arange(position, position + self.batch)[self.rows]
            yield mine, copy.deepcopy(self.stream.state())
            position += self.batch

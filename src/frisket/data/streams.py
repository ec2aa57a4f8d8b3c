"""Endless reading of what can only be read forward, shuffled block by block, with a state that resumes exactly.

A block is the next `buffer` items of an epoch, handed out in an order drawn from (seed, epoch, block). The state is
where the block began and how far into it we are, so resuming reads at most one block again; nothing is held in memory
only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

import torch

from frisket.core import random
from frisket.core.errors import FrisketError, check
from frisket.data.base import Batch, Info


class Reader(Protocol):
    """One epoch of items at a time."""

    def begin(self, epoch: int, state: dict[str, Any] | None = None) -> None:
        """Go to the start of `epoch`, or to where `state` (of that epoch) was taken."""
        ...

    def state(self) -> dict[str, Any]: ...

    def next(self) -> dict[str, Any] | None:
        """The next item, None at the end of the epoch."""
        ...


class BlockStream:
    """A `Stream` over a reader. collate: a list of items to a batch. buffer: items a block, 1 keeps the reader's
    order."""

    def __init__(self, reader: Reader, info: Info, collate: Callable[[list], Batch], *, buffer: int, seed: int = 0):
        check(buffer >= 1, "data.buffer", buffer, "1 or more")
        self.reader, self.info, self.collate, self.buffer, self.seed = reader, info, collate, buffer, seed
        self.restore({"epoch": 0, "block": 0, "start": None, "offset": 0})

    def read(self, n: int) -> Batch:
        """The next n items; behind the last item comes the first of the next epoch."""
        out = []
        while len(out) < n:
            while self.items is None or self.offset == len(self.items):
                self._advance()
            out.append(self.items[self.offset])
            self.offset += 1
        return self.collate(out)

    def state(self) -> dict[str, Any]:
        where = {"epoch": self.epoch, "block": self.block, "start": self.start, "offset": self.offset}
        return copy.deepcopy(where)

    def restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.block, self.offset = state["epoch"], state["block"], state["offset"]
        self.start = copy.deepcopy(state["start"])
        self.items: list | None = None

    def _advance(self) -> None:
        """Read the block that begins at `start`, or the next one once it is used up."""
        if self.items is None:
            self.reader.begin(self.epoch, self.start)
        elif self.items:
            self.start, self.block, self.offset = self.reader.state(), self.block + 1, 0
        self._fill()
        if self.items or self.offset:
            return
        if self.block == 0:
            raise FrisketError(f"the set holds no readable item (digest {self.info.digest or 'unknown'})")
        self.epoch, self.block, self.start = self.epoch + 1, 0, None
        self.reader.begin(self.epoch)
        self._fill()
        if not self.items:
            raise FrisketError("the set held items in one epoch and none in the next")

    def _fill(self) -> None:
        items = []
        while len(items) < self.buffer and (item := self.reader.next()) is not None:
            items.append(item)
        word = random.key(self.seed, torch.tensor([self.epoch]), self.block, random.hash_text("block"))
        order = random.uniform(word, max(len(items), 1))[0].argsort().tolist()
        self.items = [items[k] for k in order] if items else []
        if self.offset > len(self.items):
            raise FrisketError("the saved position lies outside the set: its files have changed since")

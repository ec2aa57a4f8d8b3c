"""Runs of blocks as sites: `blocks[i:j]` is a position in the call like any other.

A backbone may itself stand around runs (a token plan's spans); a handler on the same run is the outer one.
Shapes: none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from frisket.core.errors import FrisketError
from frisket.core.sites import Dispatch

T = TypeVar("T")
One = Callable[[int, T], T]
Run = tuple[int, int]
Around = Callable[[Callable[[T], T], T], T]
SPAN = re.compile(r"blocks\[(\d+):(\d+)\]")


def span_sites(depth: int, fixed: Iterable[Run] = ()) -> list[str]:
    """Every run of one or more blocks that crosses none of the `fixed` ones."""
    fixed = tuple(fixed)
    runs = [(i, j) for i in range(depth) for j in range(i + 1, depth + 1)]
    return [f"blocks[{i}:{j}]" for i, j in runs if not any(crossing((i, j), other) for other in fixed)]


def crossing(one: Run, other: Run) -> bool:
    """Whether two runs share blocks without one holding the other."""
    (a, b), (c, d) = sorted((one, other))
    return a < c < b < d


def run_of(name: str) -> Run | None:
    """The run (i, j) that a site `blocks[i:j]` names, None for any other name."""
    found = SPAN.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def run_spans(
    one: One[T], low: int, high: int, value: T, at: Dispatch, around: Mapping[Run, Around[T]] | None = None
) -> T:
    """Call `one(i, value)` for i in [low, high), each run that a handler stands on through its site, and each run of
    `around` as `around[run](call, value)`.

    Raises `FrisketError` if two such runs overlap without one holding the other.
    """
    around = around or {}
    runs = {run for name in at.handlers if (run := run_of(name))} | set(around)
    ordered = sorted(runs, key=lambda run: (run[0], -run[1]))
    for k, run in enumerate(ordered):
        for other in ordered[k + 1 :]:
            if crossing(run, other):
                raise FrisketError(
                    f"handlers or spans on blocks[{run[0]}:{run[1]}] and blocks[{other[0]}:{other[1]}] overlap; "
                    "one must hold the other"
                )
    walk = _Walk(one, at, around)
    return walk.run(low, high, [run for run in ordered if low <= run[0] and run[1] <= high], value)


@dataclass(frozen=True)
class _Walk(Generic[T]):
    one: One[T]
    at: Dispatch
    around: Mapping[Run, Around[T]]

    def run(self, low: int, high: int, runs: list[Run], value: T) -> T:
        i = low
        while i < high:
            outer = next((run for run in runs if run[0] == i), None)  # the longest that starts here
            if outer is None:
                value, i = self.one(i, value), i + 1
                continue
            inner = [run for run in runs if run != outer and outer[0] <= run[0] and run[1] <= outer[1]]
            value = self.at(f"blocks[{outer[0]}:{outer[1]}]", partial(self._inside, outer, inner), value)
            i = outer[1]
        return value

    def _inside(self, run: Run, inner: list[Run], value: T) -> T:
        call = partial(self.run, *run, inner)
        return self.around[run](call, value) if run in self.around else call(value)

"""Runs of blocks as sites: `blocks[i:j]` is a position in the call like any other.

Shapes: none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from frisket.core.errors import FrisketError
from frisket.core.sites import Dispatch

T = TypeVar("T")
One = Callable[[int, T], T]
SPAN = re.compile(r"blocks\[(\d+):(\d+)\]")


def span_sites(depth: int) -> list[str]:
    """Every run of one or more blocks."""
    return [f"blocks[{i}:{j}]" for i in range(depth) for j in range(i + 1, depth + 1)]


def run_spans(one: One[T], low: int, high: int, value: T, at: Dispatch) -> T:
    """Call `one(i, value)` for i in [low, high), each run that a handler stands on through its site.

    Raises `FrisketError` if two runs with handlers overlap without one holding the other.
    """
    spans = _spans(at.handlers) if at.handlers else []
    for a, b in spans:
        for c, d in spans:
            if a < c < b < d:
                raise FrisketError(f"handlers on blocks[{a}:{b}] and blocks[{c}:{d}] overlap; one must hold the other")
    return _run(one, low, high, value, at, [s for s in spans if low <= s[0] and s[1] <= high])


def _run(one: One[T], low: int, high: int, value: T, at: Dispatch, spans: list[tuple[int, int]]) -> T:
    i = low
    while i < high:
        outer = next((s for s in spans if s[0] == i), None)  # the longest that starts here
        if outer is None:
            value, i = one(i, value), i + 1
            continue
        inner = [s for s in spans if s != outer and outer[0] <= s[0] and s[1] <= outer[1]]
        value = at(f"blocks[{outer[0]}:{outer[1]}]", partial(_inside, one, outer, at, inner), value)
        i = outer[1]
    return value


def _inside(one: One[T], span: tuple[int, int], at: Dispatch, inner: list[tuple[int, int]], value: T) -> T:
    return _run(one, span[0], span[1], value, at, inner)


def _spans(handlers: Any) -> list[tuple[int, int]]:
    found = [(int(m[1]), int(m[2])) for m in map(SPAN.fullmatch, handlers) if m]
    return sorted(found, key=lambda s: (s[0], -s[1]))

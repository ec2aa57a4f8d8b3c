"""Masks by tag: items, kinds and groups of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.masks.base import Combines, Empty, View


@register("mask/segments")
@dataclass(frozen=True, kw_only=True)
class Segments(Combines):
    """Keys of the query's own segment: packed images, documents or scenes do not see each other."""

    empty: Empty = "zeros"

    def allowed(self, q: View, k: View) -> Tensor:
        return q.tag("segment") == k.tag("segment")


@register("mask/streams")
@dataclass(frozen=True, kw_only=True)
class Streams(Combines):
    """Pairs (query stream, key stream) that may look; every stream not named as a query looks at nobody."""

    empty: Empty = "zeros"
    pairs: tuple[tuple[int, int], ...] = ((0, 0),)

    def __post_init__(self):
        check(bool(self.pairs), "mask/streams.pairs", self.pairs, "at least one (query stream, key stream)")

    def allowed(self, q: View, k: View) -> Tensor:
        asks, gives, out = q.tag("stream"), k.tag("stream"), None
        for a, b in self.pairs:
            pair = (asks == a) & (gives == b)
            out = pair if out is None else out | pair
        return out  # type: ignore[return-value]


@register("mask/region")
@dataclass(frozen=True, kw_only=True)
class Region(Combines):
    """Keys with the query's own number in the extra `name` (b, n) int, and keys with the number `everyone`. Binds the
    words of a subject to its place in the image."""

    empty: Empty = "zeros"
    name: str = "group"
    everyone: int = 0

    def allowed(self, q: View, k: View) -> Tensor:
        given = k.tag(self.name)
        return (q.tag(self.name) == given) | (given == self.everyone)

"""Doors: each named condition enters a backbone by one of four.

`vector` (added to the time embedding, for adaLN), `context` (a sequence that attention reads), `channels` (joined to
the input) and `tokens` (in-sequence, behind the state's tokens, not read out). A new kind of input is a new embedder.
Shapes: b batch, n tokens, d width, w width of the vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.layers.base import Embedder
from frisket.models.layers.embedders import ClassIds
from frisket.models.tokens import Tokens

Way = Literal["vector", "context", "channels", "tokens"]
ACCEPTS = {
    "vector": ("vector",), "context": ("tokens", "vector"), "channels": ("image",), "tokens": ("tokens", "vector"),
}  # fmt: skip


@register("door/condition")
@dataclass(frozen=True, kw_only=True)
class Door:
    """The condition `name`, embedded and sent in by `way`. A vector sent as context or tokens is one token.

    Raises `FrisketError` if the embedder gives what the way does not take.
    """

    name: str = "label"
    way: Way = "vector"
    embedder: Embedder = ClassIds()

    def __post_init__(self):
        check(self.way in ACCEPTS, "door.way", self.way, f"one of {', '.join(ACCEPTS)}")
        gives = self.embedder.gives
        check(gives in ACCEPTS[self.way], f"embedder of {self.name!r} by {self.way}", gives, str(ACCEPTS[self.way]))


class Doors(nn.Module):
    """The built doors of a model."""

    def __init__(self, doors: Sequence[Door], condition: int, width: int):
        super().__init__()
        names = [door.name for door in doors]
        check(len(set(names)) == len(names), "doors", names, "different names")
        self.ways: dict[str, Way] = {door.name: door.way for door in doors}
        self.embedders = nn.ModuleDict(
            {door.name: door.embedder.build(condition if door.way == "vector" else width) for door in doors}
        )
        self.optional: set[str] = set()
        self.encoded: set[str] = set()
        self.times: dict[str, float] = {}

    def add(self, name: str, way: Way, embedder: nn.Module, *, optional: bool, time: float | None = None) -> None:
        """One more door, of a built embedder, for values that are data: the codec that makes states encodes them first.

        optional: a call may leave the condition out, and nothing comes in then. time: the network's own time at which
        its tokens are modulated; None: that of the state's first token. Raises `FrisketError` if the name is taken.
        """
        check(name not in self.ways, "condition", name, f"none of {', '.join(self.ways)}")
        self.ways[name], self.embedders[name] = way, embedder
        self.encoded.add(name)
        if optional:
            self.optional.add(name)
        if time is not None:
            self.times[name] = time

    def check(self, cond: Condition | None) -> None:
        """Raise `FrisketError` unless the names given are exactly those that are read, optional ones or not."""
        given = set(cond.values) if cond is not None else set()
        more, missing = given - set(self.ways), set(self.ways) - given - self.optional
        if more or missing:
            parts = [f"no door reads {', '.join(sorted(more))}"] if more else []
            parts += [f"missing: {', '.join(sorted(missing))}"] if missing else []
            raise FrisketError(
                f"conditions: {'; '.join(parts)} (this model reads: {', '.join(sorted(self.ways)) or 'none'})"
            )

    def embed(self, cond: Condition | None, way: Way) -> dict[str, Any]:
        """What comes in by `way`, by name."""
        if cond is None:
            return {}
        return {name: self.embedders[name](cond.values[name], cond.drop.get(name))
                for name, taken in self.ways.items() if taken == way and name not in self.left_out(cond)}  # fmt: skip

    def left_out(self, cond: Condition) -> set[str]:
        """Optional names that a call does not give."""
        return self.optional - set(cond.values)

    def vector(self, cond: Condition | None) -> Float[Tensor, "b w"] | None:
        """The sum of all vectors, or None."""
        total = None
        for value in self.embed(cond, "vector").values():
            total = value if total is None else total + value
        return total

    def sequences(self, cond: Condition | None, way: Way) -> dict[str, Tokens]:
        """Token sequences that come in by `way`; each has a stream number of its own, from 1, in the order of doors."""
        streams = {name: i + 1 for i, name in enumerate(self.ways)}
        return {name: _tokens(value, streams[name]) for name, value in self.embed(cond, way).items()}

    def joined(self, x: Tensor, cond: Condition | None) -> Tensor:
        """x with the channels of image conditions behind its own. Raises if a map's size is not the state's."""
        extra = self.embed(cond, "channels")
        for name, value in extra.items():
            if value.shape[2:] != x.shape[2:]:
                raise FrisketError(f"condition {name!r} of size {tuple(value.shape[2:])} must be {tuple(x.shape[2:])}")
        return torch.cat([x, *extra.values()], dim=1) if extra else x


def _tokens(value: Tokens | Tensor, stream: int) -> Tokens:
    if isinstance(value, Tensor):
        value = Tokens.of(value.unsqueeze(1))
    number = torch.full((value.tags.n,), stream, device=value.h.device)
    return Tokens(value.h, value.tags.change(stream=number, read=torch.zeros_like(number, dtype=torch.bool)))


def counted(doors: Sequence[Door], classes: Mapping[str, int]) -> tuple[Door, ...]:
    """Doors that know the number of classes of each class condition: a name without a door gets one by `vector`; a door
    for classes that nobody counts is closed. Raises `FrisketError` on classes for a door that embeds something else."""
    held = {door.name: door for door in doors}
    for name, count in classes.items():
        door = held.get(name, Door(name=name))
        if not isinstance(door.embedder, ClassIds):
            raise FrisketError(f"condition {name!r} has {count} classes, but its door embeds something else")
        held[name] = replace(door, embedder=replace(door.embedder, classes=count))
    return tuple(d for d in held.values() if not isinstance(d.embedder, ClassIds) or d.embedder.classes)

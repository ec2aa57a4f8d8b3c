"""States: one tensor, or a dict of named tensors that are noised and denoised together.

"x" is the entry that the codec decodes; the others (a class vector, for example) stand beside it. Codecs, processes,
tasks and models see the dict. What only adds and scales, such as a solver, is given one flat tensor instead: a `Layout`
packs the entries one behind the other, and back.
Shapes: b batch, `*s` the shape of one entry, n the sum of all entries' sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from frisket.core.errors import FrisketError

MAIN = "x"

if TYPE_CHECKING:  # which of the two a function takes, its own text says
    State = Any
    Shape = Any
else:
    State = Tensor | Mapping[str, Tensor]
    Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]


def main(state: Any) -> Any:
    """The entry "x" of what is given by name; what is not, as it is."""
    return state[MAIN] if isinstance(state, Mapping) else state


def by_name(fn: Callable[..., Any], first: Any, *others: Any) -> Any:
    """fn(name, entry of each) as a dict over the names of `first`; for a single tensor fn("x", ...) itself."""
    if not isinstance(first, Mapping):
        return fn(MAIN, first, *others)
    return {name: fn(name, value, *(other[name] for other in others)) for name, value in first.items()}


def shape_of(state: State) -> Shape:
    """The shape of a state, or of each entry, batch left out."""
    return by_name(lambda _, value: tuple(value.shape[1:]), state)


def moved(state: State, device: torch.device | str) -> State:
    """The state on another device."""
    return by_name(lambda _, value: value.to(device), state)


def empty(shape: Shape, rows: int = 1, **kwargs: Any) -> State:
    """An uninitialised state. kwargs: those of `torch.empty`."""
    return by_name(lambda _, size: torch.empty((rows, *size), **kwargs), shape)


@dataclass(frozen=True)
class Layout:
    """Where each entry lies in a flat row. shapes: of the entries, batch left out."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """n, the numbers in a row."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def pack(self, state: State) -> Shaped[Tensor, "b n"]:
        """The entries one behind the other; an axis of size 1 is spread over the entry's own. Raises `FrisketError` on
        other names or shapes."""
        if not isinstance(state, Mapping) or set(state) != set(self.shapes):
            found = ", ".join(state) if isinstance(state, Mapping) else type(state).__name__
            raise FrisketError(f"a state of entries {', '.join(self.shapes)} is wanted, got {found}")
        return torch.cat([self._wide(name, state[name]).flatten(1) for name in self.shapes], 1)

    def unpack(self, flat: Shaped[Tensor, "b n"]) -> dict[str, Tensor]:
        """The entries by name."""
        parts = flat.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {n: part.reshape(len(flat), *s) for (n, s), part in zip(self.shapes.items(), parts, strict=True)}

    def _wide(self, name: str, value: Tensor) -> Tensor:
        shape = self.shapes[name]
        fits = value.ndim == len(shape) + 1 and all(a in (1, b) for a, b in zip(value.shape[1:], shape, strict=True))
        if not fits:
            raise FrisketError(f"entry {name!r} has the shape {tuple(value.shape[1:])}; the state wants {shape}")
        return value.expand(len(value), *shape)

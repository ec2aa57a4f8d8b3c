"""`Known`: which elements of a state are given and clean, and their values.

One object for prompts, clues, inpainting surroundings, earlier scenes, observed series, plan start and goal. `corrupt`
keeps it, `loss` leaves it out, every sampling step imposes it again.
Shapes: b batch, `*s` the state's shape; `where` may have a size-1 channel axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.state import MAIN, State, by_name


@dataclass(frozen=True, kw_only=True)
class Known:
    """values: a state (b, *s). where: bool, broadcastable to it; True = known. Both are dicts of the same names where the
    state is one. Raises on other shapes."""

    values: State
    where: State

    def __post_init__(self):
        alike = isinstance(self.values, Tensor) == isinstance(self.where, Tensor)
        if not alike or (not isinstance(self.values, Tensor) and set(self.values) != set(self.where)):
            raise FrisketError("known.values and known.where must both be tensors, or dicts of the same names")
        by_name(_check, self.values, self.where)

    @classmethod
    def within(cls, state: State, known: Known | None) -> Known | None:
        """What is known of "x" as what is known of `state`, whose other entries are not."""
        if known is None or isinstance(state, Tensor):
            return known
        where = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in state.items()}
        return cls(values={**state, MAIN: known.values}, where={**where, MAIN: known.where})

    def entry(self, name: str) -> Known:
        """What is known of one entry."""
        return self if isinstance(self.values, Tensor) else Known(values=self.values[name], where=self.where[name])

    def impose(self, x: State) -> State:
        """x (b, *s) with the known elements exactly as given."""
        return by_name(lambda _, own, v, w: v.to(own.dtype).where(w, own), x, self.values, self.where)

    def to(self, device: torch.device | str) -> Known:
        return self._each(lambda _, value: value.to(device))

    def rows(self, index: Tensor | slice) -> Known:
        return self._each(lambda _, value: value[index])

    def _each(self, fn: Callable[..., Tensor]) -> Known:
        return Known(values=by_name(fn, self.values), where=by_name(fn, self.where))


def _check(name: str, values: Tensor, where: Tensor) -> None:
    fits = where.ndim == values.ndim and all(w in (1, v) for w, v in zip(where.shape, values.shape, strict=True))
    if not fits:
        raise FrisketError(
            f"known.where of shape {tuple(where.shape)} does not fit values of shape {tuple(values.shape)}; each axis "
            "must be equal or 1"
        )

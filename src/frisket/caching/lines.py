"""Lines: the forwards that may share stored values, and the values.

A line is one run, guidance branch and call within the step (the second call of Heun's method has a line of its own),
for one set of samples and one shape of the inputs. A forward that differs in any of these begins an empty line, and so
does one whose step does not come after the line's last: values never reach another run, branch, resolution or sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from frisket.core.condition import Condition
from frisket.core.step import Step
from frisket.models.tokens import Tokens

P = TypeVar("P")


@dataclass
class History:
    """The latest computed results of one site, oldest first, each with the index of its step. Only results for inputs
    of one shape are kept together."""

    most: int
    shape: Any = None
    at: deque[int] = field(default_factory=deque)
    values: deque[Any] = field(default_factory=deque)

    def put(self, index: int, value: Any, shape: Any) -> None:
        if shape != self.shape:
            self.at.clear()
            self.values.clear()
        self.shape = shape
        self.at.append(index)
        self.values.append(value)
        while len(self.at) > self.most:
            self.at.popleft()
            self.values.popleft()

    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for value in self.values for t in tensors(value))


@dataclass
class Line(Generic[P]):
    """policy: of this line alone. histories: by site (a cache that computes some tokens adds their set to the name).
    last: index of the latest step. done: nothing more can come."""

    policy: P
    fits: tuple[Any, ...]
    histories: dict[str, History] = field(default_factory=dict)
    last: int = -1
    done: bool = False

    def bytes(self) -> int:
        return sum(h.bytes() for h in self.histories.values())


class Lines(Generic[P]):
    """The lines of one mounted cache. make: a new policy."""

    def __init__(self, make: Callable[[], P]):
        self.make = make
        self.held: dict[tuple[str, int, str, int], Line[P]] = {}

    def enter(self, step: Step, args: tuple[Any, ...]) -> Line[P]:
        """The line of a forward with the model's arguments `args`; ended runs are forgotten."""
        key = (step.run, step.seed, step.branch, step.call)
        fits = (tuple(step.sample.tolist()), signature(args))
        line = self.held.get(key)
        if line is None:
            over = {k[:2] for k, v in self.held.items() if v.done} - {key[:2]}
            self.held = {k: v for k, v in self.held.items() if k[:2] not in over}
        if line is None or line.fits != fits or step.index <= line.last:
            line = self.held[key] = Line(self.make(), fits)
        line.last = step.index
        line.done = step.index >= step.total - 1
        return line

    def bytes(self) -> int:
        return sum(line.bytes() for line in self.held.values())


def signature(value: Any) -> Any:
    """What must agree for stored results to fit: shapes, kinds and places of tensors; kept token ids by value."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype, value.device)
    if isinstance(value, Tokens):
        return (*signature(value.h), value.tags.n)
    if isinstance(value, Condition):
        return tuple((name, signature(v)) for name, v in sorted(value.values.items()))
    if isinstance(value, Mapping):
        return tuple((name, tuple(v.flatten().tolist())) for name, v in sorted(value.items()))
    if isinstance(value, (tuple, list)):
        return tuple(signature(v) for v in value)
    return None


def tensors(value: Any) -> list[Tensor]:
    """The tensors of a result: of one tensor, or of a tuple that may hold None."""
    if isinstance(value, Tensor):
        return [value]
    return [t for part in value for t in tensors(part)] if isinstance(value, (tuple, list)) else []


def combine(weights: Sequence[float], values: Sequence[Any]) -> Any:
    """The weighted sum of results of one structure; a single weight of 1 gives the very result."""
    if len(weights) == 1 and weights[0] == 1.0:
        return values[0]
    first = values[0]
    if isinstance(first, (tuple, list)):
        return tuple(combine(weights, part) for part in zip(*values, strict=True))
    if not isinstance(first, Tensor):
        return first
    out = first * weights[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        out = torch.add(out, value, alpha=weight)
    return out

"""`Step`: where a call stands in a run, and the only source of randomness.

A draw is keyed by (seed, sample id, index, purpose), so it depends neither on the batch a sample travels in nor on the
number of processes. Tasks and samplers draw; processes, models and solvers receive numbers.
Shapes: b rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from frisket.core import random
from frisket.core.errors import FrisketError

Law = Literal["normal", "uniform"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of training or sampling for a batch of rows.

    seed: of the run. sample: int64 (b,), each row's own id (training: position in the global order of samples;
    sampling: the sample's number). index / total: which step of how many. call: which model call within the step.
    branch: the guidance branch this call computes ("conditional", "null", ...). run: distinguishes one run's state
    from another's (caches are keyed by it).
    """

    seed: int
    sample: Tensor
    index: int = 0
    total: int = 0
    call: int = 0
    branch: str = "conditional"
    run: str = ""

    def draw(self, purpose: str, shape: tuple[int, ...] = (), law: Law = "normal") -> Tensor:
        """float64 (b, *shape) drawn for `purpose`; asking again gives the same numbers. Convert the dtype yourself."""
        keys = random.key(self.seed, self.sample, self.index, random.hash_text(purpose))
        return self._law(law)(keys, _size(shape)).reshape(-1, *shape)

    def shared(self, purpose: str, shape: tuple[int, ...] = (), law: Law = "uniform") -> Tensor:
        """float64 `shape`, equal for all rows and all processes: keyed by (seed, index, purpose) only."""
        word = random.key_int(self.seed, 0, self.index, random.hash_text("shared/" + purpose))
        return self._law(law)(torch.tensor([word], device=self.sample.device), _size(shape)).reshape(shape)

    def stratified(self, purpose: str) -> Tensor:
        """float64 (b,) uniform in [0, 1): a golden-ratio sequence over sample ids with a random shift of its own per
        seed; any run of consecutive ids covers [0, 1) evenly, whatever the batch."""
        shift = random.key_int(self.seed, 0, random.hash_text("stratified/" + purpose))
        return random.golden_sequence(self.sample, shift)

    def rows(self, where: Tensor) -> Step:
        """The step of some of the rows (an index or boolean tensor over b)."""
        return replace(self, sample=self.sample[where])

    def at(self, **changes) -> Step:
        """A copy with other fields: `step.at(index=3, branch="null")`."""
        return replace(self, **changes)

    @staticmethod
    def _law(law: Law):
        if law not in ("normal", "uniform"):
            raise FrisketError(f"law = {law!r} is not accepted; it must be 'normal' or 'uniform'")
        return random.normal if law == "normal" else random.uniform


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


_current: ContextVar[Step | None] = ContextVar("frisket_step", default=None)


@contextmanager
def use_step(step: Step) -> Iterator[Step]:
    """Make `step` the current one, for what reads it inside a model call (handlers, dropout)."""
    token = _current.set(step)
    try:
        yield step
    finally:
        _current.reset(token)


def find_step() -> Step | None:
    """The step in force, if any."""
    return _current.get()


@contextmanager
def use_rows(rows: Tensor | None) -> Iterator[None]:
    """Reduce the step in force, if any, to some of its rows (an index tensor; None: all of them), for the part of a
    call that only they take part in."""
    step = _current.get()
    if step is None or rows is None:
        yield
        return
    with use_step(step.rows(rows.to(step.sample.device))):
        yield


def current_step() -> Step:
    """The step in force. Raises `FrisketError` when there is none: randomness without a step would not come back."""
    step = find_step()
    if step is None:
        raise FrisketError("no Step is in force; call the model inside `with use_step(step):`")
    return step

"""What the `sampling` room promises: one generator loop; solvers and decoders are its updates.

Shapes: b batch, `*s` the state's shape. Times run down from t = 1 (or where a start stands) to 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from frisket.core.step import Step
from frisket.processes.base import Estimate, Process

Evaluate = Callable[[Tensor, Float[Tensor, "b"]], Estimate]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state after step `index` of `total`: x (b, *s) at time t, the last estimate (None when the step made no
    forward), and how many model forwards (rows count once each) were made so far."""

    x: Tensor
    t: float
    index: int
    total: int
    estimate: Estimate | None
    forwards: int


class Update(Protocol):
    """One move of the state from time t to s < t: a solver ("solver/...") or a decoder ("decoder/..."). Frozen; what
    it remembers between steps travels in `memory`, which starts as an empty dict for each run."""

    def move(
        self, process: Process, x: Tensor, t: Float[Tensor, "b"], s: Float[Tensor, "b"], evaluate: Evaluate, step: Step,
        memory: dict[str, Any],
    ) -> Tensor:  # fmt: skip
        """`evaluate(x, t)` runs the guided model; it is called as often as the update needs, or not at all."""
        ...


class Correction(Protocol):
    """A change of the state around the update ("correction/..."): `before` is called with the state about to be
    evaluated at t, `after` with the state just moved to s. Both return the state."""

    def before(self, process: Process, x: Tensor, t: Float[Tensor, "b"], step: Step) -> Tensor: ...

    def after(self, process: Process, x: Tensor, s: Float[Tensor, "b"], step: Step) -> Tensor: ...


class TimeGrid(Protocol):
    """Where the sampler stops ("grid/..."): `times(steps, process)` gives steps + 1 times from 1 down to 0."""

    def times(self, steps: int, process: Process) -> Float[Tensor, "steps+1"]: ...

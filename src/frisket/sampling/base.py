"""What the `sampling` room promises: one generator loop; solvers and decoders are its updates.

Shapes: b batch, `*s` the state's shape. Times run down from t = 1 (or where a start stands) to 0; a grid may also go
up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.random import hash_text
from frisket.core.sites import Handler
from frisket.core.step import Step
from frisket.models.base import Keep
from frisket.processes.base import Estimate, Process
from frisket.processes.known import Known


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state after move `index` of `total`: x (b, *s) at time t, and the last estimate (None when the move made no
    forward; of the evaluated rows only when those were fewer than b). index 0 is the start itself. rows: how many rows
    went through each model so far, by its name ("" is the one being sampled, "/head" its head alone), every branch
    counted; times `count_macs(model.config)` that is the cost of a run without caches. reports: what the sampler's
    caches did so far, in their order, those on the model being sampled first; they are the run's own and go on changing
    with it."""

    x: Tensor
    t: float
    index: int
    total: int
    estimate: Estimate | None
    rows: Mapping[str, int]
    reports: tuple[Any, ...] = ()

    @property
    def forwards(self) -> int:
        """Rows that went through any model so far."""
        return sum(self.rows.values())


@dataclass(frozen=True, kw_only=True)
class Start:
    """A state x (b, *s) that stands at time t in (0, 1], to go on from: editing, inversion, restoration."""

    x: Tensor
    t: float

    def __post_init__(self):
        check(0.0 < self.t <= 1.0, "start.t", self.t, "above 0 and at most 1")


class Evaluate(Protocol):
    """The guided model as a function. last: the estimate of the latest call in this move, None before the first."""

    last: Estimate | None

    def __call__(
        self, x: Tensor, t: Float[Tensor, "r"], rows: Tensor | None = None, keep: Keep | None = None
    ) -> Estimate:
        """x (r, *s) at t: all rows of the batch, or those whose indices `rows` (r,) names; only they are computed.
        keep: who passes through spans of the model in every guidance branch; the estimate says nothing elsewhere."""
        ...

    def output(
        self, x: Tensor, t: Float[Tensor, "r"], rows: Tensor | None = None, keep: Keep | None = None, part: str = ""
    ) -> Output:
        """The guided output itself, for a process that stands inside the head. part: where only a part of the model is
        computed (handlers answer for the rest), the name that its rows are counted under."""
        ...


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What an update or a correction may use in one move. memory: an empty dict at the start of a run, kept between its
    moves; every part stores under its own `part_name`. model: the one being sampled, for parts that have learned
    something and keep it there; its forwards go through `evaluate`."""

    process: Process
    evaluate: Evaluate
    step: Step
    known: Known | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    model: Any = None

    def noise(self, x: Tensor, purpose: str) -> Tensor:
        """The process's own kind of noise for a state like x (b, *s), in a stream of its own for each purpose."""
        return process_noise(self.process, tuple(x.shape[1:]), self.step, purpose)


def process_noise(process: Process, shape: tuple[int, ...], step: Step, purpose: str) -> Tensor:
    """`process.noise` names no purpose, so the purpose goes into the seed: equal purposes, equal numbers."""
    return process.noise(shape, step.at(seed=step.seed ^ hash_text(purpose)))


class Update(Protocol):
    """One move of the state down from time t to s < t: a solver ("solver/...") or a decoder ("decoder/..."). Frozen."""

    def move(self, x: Tensor, t: Float[Tensor, "b"], s: Float[Tensor, "b"], at: Moment) -> Tensor:
        """`at.evaluate(x, t)` runs the guided model; it is called as often as the update needs, or not at all."""
        ...


class Correction(Protocol):
    """A change of the state around the update ("correction/..."): `before` is called with the state about to be
    evaluated at t, `after` with the state just moved to s. Both return the state. takes_known: it uses `at.known`."""

    takes_known: ClassVar[bool]

    def before(self, x: Tensor, t: Float[Tensor, "b"], at: Moment) -> Tensor: ...

    def after(self, x: Tensor, s: Float[Tensor, "b"], at: Moment) -> Tensor: ...


class Mounted(Protocol):
    """Handlers (site pattern -> handler) that stand on one model for one run, and the report they fill."""

    @property
    def handlers(self) -> Mapping[str, Handler]: ...

    @property
    def report(self) -> Any: ...


class Aid(Protocol):
    """A value that changes how a model is called during a run: a cache ("cache/..."), a handler of attention."""

    def mount(self, model: Any) -> Mounted:
        """With a new, empty state; called once a run for each of its models. Raises `FrisketError` if the model lacks
        the sites for it."""
        ...


class TimeGrid(Protocol):
    """Where the sampler stops ("grid/..."): at least two times in [0, 1] that differ from their neighbours; the last is
    0. A grid may hold more than steps + 1 of them (resampling), and its first may lie below 1 (published grids)."""

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]: ...

"""The one loop: noise to sample, move by move, as a generator of snapshots.

A move goes down in time by the update (a solver or a decoder) or, where the grid goes up, by the process's own forward
step (RePaint, arXiv 2201.09865). Noise is drawn a row at a time from the `Step`, so a sample depends neither on the
batch it travels in nor on its place there. Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from typing import Any

import torch
from torch import Tensor

from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.state import Layout, Shape, State, shape_of
from frisket.core.step import Step, use_step
from frisket.models.base import Keep
from frisket.processes.base import Estimate, Process
from frisket.processes.clocks import at_known
from frisket.processes.known import Known
from frisket.sampling.base import (
    Aid,
    Correction,
    Moment,
    Mounted,
    Snapshot,
    Start,
    TimeGrid,
    Update,
    process_noise,
)  # fmt: skip
from frisket.sampling.grids import Uniform
from frisket.sampling.guidance import Guidance, Inputs
from frisket.sampling.joined import FlatModel, FlatProcess, flat_known, flat_start, whole_estimate
from frisket.sampling.solvers.euler import Euler

RUNS = count()


@register("sampler/loop")
@dataclass(frozen=True, kw_only=True)
class Sampler:
    """steps: moves down from t = 1 to 0 (a grid may add more). update: a solver or a decoder. grid: where it stops.
    caches: mounted anew on each model of a run, and there only while it is called; the first is the outermost."""

    steps: int = 50
    update: Update = field(default_factory=Euler)
    grid: TimeGrid = field(default_factory=Uniform)
    guidance: Guidance = field(default_factory=Guidance)
    corrections: tuple[Correction, ...] = ()
    caches: tuple[Aid, ...] = ()

    def __post_init__(self):
        check(self.steps >= 1, "sampler.steps", self.steps, "at least 1")

    def run(
        self, model: Any, process: Process, *, shape: Shape, step: Step, cond: Condition | None = None,
        known: Known | None = None, start: Start | None = None, others: Mapping[str, Any] | None = None,
        grad: bool = False,
    ) -> Iterator[Snapshot]:  # fmt: skip
        """Yield a snapshot of the start and after every move.

        shape: of one state, or of each of its entries, batch left out; the batch is `step.sample`. known: needs a
        correction that imposes it. others: further models, by the names that the guidance uses. grad: keep the graph
        through all moves.
        Raises `FrisketError` before any work on what does not fit.
        """
        check(len(step.sample) > 0, "batch", len(step.sample), "at least 1")
        layout = self._layout(shape)
        if layout is not None:
            shape, known, start = (layout.size,), flat_known(known, layout), flat_start(start, layout)
        self._check_inputs(shape, step, cond, known, start)
        for name in self.guidance.models():
            if name not in (others or {}):
                raise FrisketError(f"the guidance uses a further model {name!r}; give it as others={{{name!r}: model}}")
        times = _from(_checked(self.grid.times(self.steps, process)), start)
        run = self._made(model, process, cond, known, shape, step, grad, others, layout)
        return run.snapshots(times, start)

    def _layout(self, shape: Shape) -> Layout | None:
        """How the entries of a state lie in the flat one of a run; None where the state is one tensor."""
        if not isinstance(shape, Mapping):
            return None
        check(self.guidance.channels is None, "guidance.channels", self.guidance.channels, "None for several entries")
        return Layout(shape)

    def invert(
        self, model: Any, process: Process, *, x: State, step: Step, cond: Condition | None = None
    ) -> Iterator[Snapshot]:
        """The other way: from the state x (b, *s) at t = 0 up the grid to its first time, by the same update with a
        history of its own, by the main branch alone and without corrections or caches (guidance above 1 leads an
        inversion astray). `Start` takes the last snapshot back. Raises `FrisketError` on an update that draws noise or
        knows no way up, and on a grid that goes up."""
        plain = replace(self, guidance=Guidance(main=self.guidance.main), corrections=(), caches=())
        name = getattr(type(self.update), "part_name", type(self.update).__name__)
        check(getattr(self.update, "reversible", False), "update to invert with", name, "a solver without fresh noise")
        times = _checked(self.grid.times(self.steps, process))
        check(all(a > b for a, b in pairwise(times)), "grid to invert on", times, "going down at every move")
        layout = self._layout(shape_of(x))
        x = x if layout is None else layout.pack(x)
        shape = tuple(x.shape[1:])
        plain._check_inputs(shape, step, cond, None, None)
        return plain._made(model, process, cond, None, shape, step, False, None, layout).rising(times[::-1], x)

    def _made(
        self, model: Any, process: Process, cond: Condition | None, known: Known | None, shape: tuple[int, ...],
        step: Step, grad: bool, others: Mapping[str, Any] | None, layout: Layout | None,
    ) -> _Run:  # fmt: skip
        models = {"": model, **(others or {})}
        mounted = {name: tuple(aid.mount(one) for aid in self.caches) for name, one in models.items()}
        step = step.at(run=step.run or f"run {next(RUNS)}")  # so that runs in turns never meet in a cache
        called: dict[str, Any] = models
        if layout is not None:
            process = FlatProcess(process, layout)  # type: ignore[arg-type,assignment]
            called = {name: FlatModel(one, layout) for name, one in models.items()}
        return _Run(self, process, models, called, mounted, cond, known, tuple(shape), step, grad, layout)

    def sample(self, model: Any, process: Process, **inputs) -> State:
        """The state at t = 0; `inputs` are those of `run`."""
        last = None
        for snapshot in self.run(model, process, **inputs):
            last = snapshot
        assert last is not None
        return last.x

    def _check_inputs(
        self, shape: tuple[int, ...], step: Step, cond: Condition | None, known: Known | None, start: Start | None
    ) -> None:
        wanted = (len(step.sample), *shape)
        for name, given in (("known", known and known.values), ("start", start and start.x)):
            if given is not None and tuple(given.shape) != wanted:
                raise FrisketError(f"{name} has the shape {tuple(given.shape)}; this run makes {wanted}")
        if cond is not None and cond.values and len(cond) != len(step.sample):
            raise FrisketError(f"the conditions have {len(cond)} rows, the run has {len(step.sample)} samples")
        if known is not None and not any(c.takes_known for c in self.corrections):
            raise FrisketError("known is given, but no correction of the sampler imposes it; add ImposeKnown(how=...)")


def _checked(times: Tensor) -> list[float]:
    out = [float(t) for t in times]
    inside = len(out) >= 2 and all(0.0 <= t <= 1.0 for t in out)
    if not inside or out[-1] != 0.0 or any(a == b for a, b in pairwise(out)):
        raise FrisketError(f"a time grid must stay in [0, 1], move at every step and end at 0; got {out}")
    return out


def _from(times: list[float], start: Start | None) -> list[float]:
    """The part of the grid below a given start, with the start's own time in front."""
    if start is None:
        return times
    first = next(i for i, t in enumerate(times) if t < start.t)
    return [start.t, *times[first:]]


@dataclass
class _Run:
    """One run's state: what the frozen sampler may not hold. Also the only place where forwards are counted. called: the
    models as they are called here, on flat states where a layout says so."""

    sampler: Sampler
    process: Process
    models: Mapping[str, Any]
    called: Mapping[str, Any]
    mounted: Mapping[str, tuple[Mounted, ...]]
    cond: Condition | None
    known: Known | None
    shape: tuple[int, ...]
    step: Step
    grad: bool
    layout: Layout | None = None
    rows: Counter[str] = field(default_factory=Counter)
    memory: dict[str, Any] = field(default_factory=dict)
    part: str = ""

    def snapshots(self, times: list[float], start: Start | None) -> Iterator[Snapshot]:
        total = len(times) - 1
        if start is None:
            x = self.process.prior(process_noise(self.process, self.shape, self.step.at(index=0), "prior"))
        else:
            x = start.x
        yield self._snapshot(x, times[0], 0, total, None)
        for index in range(total):
            with torch.set_grad_enabled(self.grad):
                x, estimate = self._move(x, times[index], times[index + 1], self.step.at(index=index, total=total))
            yield self._snapshot(x, times[index + 1], index + 1, total, estimate)

    def rising(self, times: list[float], x: Tensor) -> Iterator[Snapshot]:
        """Up the times by the update."""
        total = len(times) - 1
        yield self._snapshot(x, times[0], 0, total, None)
        for index, (t, s) in enumerate(pairwise(times)):
            step = self.step.at(index=index, total=total)
            evaluate = _Evaluate(self, step)
            at = Moment(process=self.process, evaluate=evaluate, step=step, memory=self.memory)
            ends = (torch.full((len(x),), v, dtype=torch.float64, device=x.device) for v in (t, s))
            with torch.set_grad_enabled(self.grad):
                x = self.sampler.update.move(x, *ends, at)
            yield self._snapshot(x, s, index + 1, total, evaluate.last)

    def _move(self, x: Tensor, t: float, s: float, step: Step) -> tuple[Tensor, Estimate | None]:
        evaluate = _Evaluate(self, step)
        at = Moment(
            process=self.process, evaluate=evaluate, step=step, known=self.known, memory=self.memory,
            model=self.called[""],
        )  # fmt: skip
        t_rows, s_rows = (torch.full((len(x),), v, dtype=torch.float64, device=x.device) for v in (t, s))
        if s > t:
            x = self.process.renoise(x, t_rows, s_rows, at.noise(x, "renoise"))
            return self._corrected(x, s_rows, at), None
        for correction in self.sampler.corrections:
            x = correction.before(x, t_rows, at)
        x = self.sampler.update.move(x, t_rows, s_rows, at)
        return self._corrected(x, s_rows, at), evaluate.last

    def _corrected(self, x: Tensor, s: Tensor, at: Moment) -> Tensor:
        for correction in self.sampler.corrections:
            x = correction.after(x, s, at)
        return x

    def _snapshot(self, x: State, t: float, index: int, total: int, estimate: Estimate | None) -> Snapshot:
        reports = tuple(mounted.report for each in self.mounted.values() for mounted in each)
        if self.layout is not None:
            x, estimate = self.layout.unpack(x), whole_estimate(estimate, self.layout)
        return Snapshot(x=x, t=t, index=index, total=total, estimate=estimate, rows=dict(self.rows), reports=reports)

    def model(self, name: str) -> Any:
        return self.called[name]

    def __call__(
        self, name: str, x: Tensor, time: Tensor, cond: Condition | None, keep: Keep | None, step: Step
    ) -> Output:
        """One forward of one model, counted."""
        self.rows[f"{name}/{self.part}" if self.part else name] += len(x)
        model = self.models[name]
        with use_step(step), ExitStack() as stack:
            for mounted in self.mounted[name]:
                stack.enter_context(install(model, mounted.handlers))
            return self.called[name](x, time, cond, **({} if keep is None else {"keep": keep}))


class _Evaluate:
    """The guided model of one move."""

    def __init__(self, run: _Run, step: Step):
        self.run, self.step, self.calls = run, step, 0
        self.last: Estimate | None = None

    def __call__(self, x: Tensor, t: Tensor, rows: Tensor | None = None, keep: Keep | None = None) -> Estimate:
        self.last = self.run.process.estimate(self.output(x, t, rows, keep), x, t)
        return self.last

    def output(
        self, x: Tensor, t: Tensor, rows: Tensor | None = None, keep: Keep | None = None, part: str = ""
    ) -> Output:
        run = self.run
        run.part = part
        step = self.step.at(call=self.calls)
        cond, known = run.cond, run.known
        if rows is not None:
            step = step.rows(rows)
            cond = None if cond is None else cond.rows(rows)
            known = None if known is None else known.rows(rows)
        self.calls += 1
        hides = any(b.hide_known for b in (run.sampler.guidance.main, *run.sampler.guidance.others))
        hidden = run.process.prior(process_noise(run.process, run.shape, step, "hidden")) if hides else None
        inputs = Inputs(
            x=x,
            time=run.process.model_time(at_known(getattr(run.process, "clock", None), t, known and known.where)),
            cond=cond,
            known=known.where if known else None,
            hidden=hidden,
            keep=keep,
        )
        output = run.sampler.guidance.pred(run, inputs, t, step)
        if output.pred.dtype in (torch.float16, torch.bfloat16):  # the solver's sums need more digits than the network
            output = Output(output.pred.float(), aux=output.aux)
        return output

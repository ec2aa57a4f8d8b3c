"""Calibration: a few passes of a trained pipeline on noised data, for what ranks parts without training.

Items, times and noise are functions of the seed alone, so two rankings see the same passes.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.readers import encoded_batch
from frisket.core.condition import Condition, Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Handler, install
from frisket.core.state import moved, shape_of
from frisket.core.step import Step, use_step
from frisket.data.base import Batch, Source, Stream
from frisket.processes.base import Corrupted, Process
from frisket.sampling.encoded import encoded
from frisket.sampling.pipeline import Pipeline


@dataclass(frozen=True)
class CalibrationPass:
    """One batch of noised data, ready for the network."""

    corrupted: Corrupted
    time: Tensor
    cond: Condition | None
    step: Step
    valid: Tensor | None = None


@register("calibration/noised")
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """items: of the training split, each noised once, at times that cover the time density evenly. batch: a pass."""

    items: int = 256
    batch: int = 64

    def __post_init__(self):
        check(self.items >= 1, "calibration.items", self.items, "1 or more")
        check(self.batch >= 1, "calibration.batch", self.batch, "1 or more")

    def passes(self, pipeline: Pipeline, source: Source | Stream, seed: int = 0) -> list[CalibrationPass]:
        """All passes of the first items. Raises `FrisketError` if the data lacks a condition that the model reads."""
        out = []
        for ids, batch in _batches(source, self.items, self.batch):
            step = Step(seed=seed, sample=ids.to(pipeline.device), run="calibration")
            with torch.no_grad():
                x0 = pipeline.coder.encode(_moved(batch["x"], pipeline.device))
            process = pipeline.process
            t = process.times(_uniform(process, step))
            corrupted = process.corrupt(x0, t, moved(process.noise(shape_of(x0), step), pipeline.device))
            valid = _moved(batch.get("valid"), pipeline.device)
            cond = _condition(pipeline, batch)
            out.append(CalibrationPass(corrupted, process.model_time(corrupted.local), cond, step, valid))
        return out


def run_pass(model: nn.Module, one: CalibrationPass, handlers: Mapping[str, Handler] | None = None) -> Output:
    """The model's output for one pass, under `handlers`."""
    held = install(model, handlers) if handlers else nullcontext()  # type: ignore[arg-type]
    with use_step(one.step), held:
        return model(one.corrupted.x_t, one.time, one.cond)


def mean_loss(
    model: nn.Module, process: Process, passes: Sequence[CalibrationPass], handlers: Mapping[str, Handler] | None = None
) -> Tensor:
    """The process's loss over all passes, a scalar; keeps a graph if gradients are on."""
    losses = [sum(process.loss(run_pass(model, p, handlers), p.corrupted, p.valid).values()) for p in passes]
    return torch.cat([torch.as_tensor(loss) for loss in losses]).mean()


def _uniform(process: Process, step: Step) -> Tensor:
    """float64 in [0, 1): (b,), or (b, k) where the process has a clock of k > 1 segments."""
    clock = getattr(process, "clock", None)
    segments = clock.count() if clock is not None else 1
    return step.draw("time", (segments,), "uniform") if segments > 1 else step.stratified("time")


def _batches(source: Source | Stream, items: int, batch: int) -> Iterator[tuple[Tensor, Batch]]:
    """The first items of a set in batches, with their numbers."""
    size = source.info.size
    items = items if size is None else min(items, size)
    for low in range(0, items, batch):
        ids = torch.arange(low, min(low + batch, items))
        yield ids, source.batch(ids) if hasattr(source, "batch") else source.read(len(ids))  # type: ignore[union-attr]


def _condition(pipeline: Pipeline, batch: Batch) -> Condition | None:
    named = getattr(pipeline.model, "conditions", None)
    names = tuple(named if named is not None else getattr(getattr(pipeline.model, "doors", None), "ways", ()))
    values: dict[str, Tensor] = {
        name: encoded_batch(batch, name, pipeline.readers).to(pipeline.device) for name in names
    }
    return encoded(Condition(values), pipeline.model, pipeline.coder) if names else None


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value

"""What an objective reads and returns: a `Pass` is everything one training pass made, an objective adds loss terms.

Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import Codec
from frisket.core.condition import Condition, Output
from frisket.core.state import State
from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.processes.base import Corrupted, Estimate, Process
from frisket.sampling.pipeline import Pipeline


@dataclass(frozen=True)
class Pass:
    """One forward of the model in training. taps: what the sites that the objective asked for returned."""

    batch: Batch
    step: Step
    process: Process
    codec: Codec
    model: nn.Module
    cond: Condition | None
    corrupted: Corrupted
    output: Output
    taps: Mapping[str, Any] = field(default_factory=dict)

    @property
    def x0(self) -> State:
        """The clean state (b, *s), or its entries."""
        return self.corrupted.x0

    @property
    def t(self) -> Float[Tensor, "b"]:
        return self.corrupted.t

    @cached_property
    def estimate(self) -> Estimate:
        """What the prediction says of x0 and noise, or the logits; made once, and only if asked for."""
        return self.process.estimate(self.output, self.corrupted.x_t, self.corrupted.local)


class Objective(Protocol):
    """A built objective; an nn.Module if it has weights (a projector), which then learn with the model, are kept in
    training checkpoints and are no part of the saved pipeline.

    sites: sites of the model whose results it reads, () for none. A module may also have `fixed`, the names of its
    submodules that neither learn nor are saved (an encoder, a teacher), and `teacher`, a copy of the model in which the
    trainer keeps the first average of the model's weights.
    """

    sites: tuple[str, ...]

    def loss(self, seen: Pass) -> dict[str, Float[Tensor, "b"]]:
        """Named terms a sample, already weighted. The task averages them over the batch, so that a batch in pieces
        gives the mean of the whole."""
        ...


class ObjectiveConfig(Protocol):
    """A registered value ("objective/..."). One that computes more than the model's own forward and backward also has
    `step_macs(experiment, forward)`: these multiply-accumulates of a step for a sample."""

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> Objective:
        """pipeline: whose model trains. needs: the experiment's further pipelines, by name. Raises `FrisketError` on a
        model, or a need, that it cannot work with."""
        ...

"""What the `tasks` room promises: a task is what one training step is. The trainer sees nothing else.

A task is an nn.Module that holds the modules it trains; calling it computes the loss, so that a wrapper for
distribution wraps one module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.sampling.pipeline import Pipeline


class Task(Protocol):
    """`forward(batch, step)` is `loss`; `trains()` are the modules that learn, by name ("model", "decoder" ...).

    A task may have `followers()`: by the name in the task of a module that learns, modules of the same parameters which
    the trainer fills with the first average after every update (the teacher of a self-distillation). They belong in
    `fixed`, the names of submodules that checkpoints leave out."""

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named scalar terms; their sum is minimised. Everything random is drawn from `step`."""
        ...

    def trains(self) -> dict[str, nn.Module]: ...

    def preview(self, step: Step, n: int) -> Any:
        """A few samples to look at while training, or None."""
        ...


@runtime_checkable
class TaskConfig(Protocol):
    """A registered value ("task/..."). A step that computes more than forward and backward of the model also has
    `step_macs(experiment, forward)`: multiply-accumulates of one step for a sample, from those of a forward."""

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> nn.Module:
        """The task that trains the pipeline's modules. needs: the experiment's further pipelines, by name."""
        ...

"""What the `tasks` room promises: a task is what one training step is. The trainer sees nothing else.

A task is an nn.Module that holds the modules it trains; calling it computes the loss, so that a wrapper for
distribution wraps one module.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from frisket.core.step import Step
from frisket.data.base import Batch


class Task(Protocol):
    """`forward(batch, step)` is `loss`; `trains()` are the modules that learn, by name ("model", "decoder" ...)."""

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named scalar terms; their sum is minimised. Everything random is drawn from `step`."""
        ...

    def trains(self) -> dict[str, nn.Module]: ...

    def preview(self, step: Step, n: int) -> Any:
        """A few samples to look at while training, or None."""
        ...

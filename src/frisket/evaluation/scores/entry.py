"""The held-out loss of what is decoded: the process's terms of the entry "x" alone, without those of entries beside it.

So systems whose states have further entries stand beside those that have none. A network that is given a noised vector
of the whole item is told more of the item at every t than one that is not; the number does not know this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from frisket.core.condition import Output
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.heldout import heldout_loss
from frisket.processes.base import Corrupted, Process
from frisket.processes.joint import entry_of, process_of
from frisket.sampling.pipeline import Pipeline


@register("score/entry")
@dataclass(frozen=True, kw_only=True)
class Entry:
    """`flow_loss`: on up to n items of the test split, on the fixed grid of (t, noise) of the plain held-out loss."""

    gives: ClassVar[tuple[str, ...]] = ("flow_loss",)
    better: ClassVar[str] = "less"

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        source: Any = data.open("test")
        found = heldout_loss(
            pipeline.model, _OfMain(pipeline.process), pipeline.coder, source,  # type: ignore[arg-type]
            n=min(n, source.info.size or n), seed=seed, device=str(pipeline.device),
        )  # fmt: skip
        return {"flow_loss": found.mean.value}


class _OfMain:
    """A process whose loss is that of "x" alone."""

    def __init__(self, process: Process):
        self.process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self.process, name)

    def loss(self, output: Output, corrupted: Corrupted, valid: Tensor | None = None) -> dict[str, Tensor]:
        pred = output.pred["x"] if isinstance(output.pred, Mapping) else output.pred
        return dict(process_of(self.process).loss(Output(pred), entry_of(corrupted), valid))

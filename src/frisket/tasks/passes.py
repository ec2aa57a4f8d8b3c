"""What one diffusion step computes: one pass of the model, or a full and a masked one at the same time.

MDT (arXiv 2303.14389; facts from sail-sg/MDT masked_diffusion/train_util.py) adds the losses of a pass over all tokens and
of one that leaves tokens out, equally weighted, both over the whole state: the same t, other noise and other dropped
conditions in each.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from frisket.core.random import hash_text
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.models.plans.base import Choose

CITE = "Gao, Zhou, Cheng, Yan. Masked Diffusion Transformer is a Strong Image Synthesizer. 2023. arXiv:2303.14389"


class OnePass(Protocol):
    """A task that can compute the terms of one pass; chooses: who passes through the model's spans while training."""

    chooses: dict[str, Choose]

    def one_pass(
        self, x0: Tensor, t: Tensor, batch: Batch, step: Step, chooses: Mapping[str, Choose]
    ) -> dict[str, Tensor]: ...


@runtime_checkable
class Passes(Protocol):
    """A registered value ("passes/...")."""

    def terms(self, task: Any, x0: Tensor, t: Float[Tensor, "b ..."], batch: Batch, step: Step) -> dict[str, Tensor]:
        """The terms of all passes of one step on x0 (b, *s) at t. task: a `OnePass`."""
        ...

    def forwards(self, dense: float, chosen: float) -> float:
        """The cost of all passes, from that of a dense and of a shortened one."""
        ...


@register("passes/single")
@dataclass(frozen=True, kw_only=True)
class Single:
    """One, shortened as the model's plan says."""

    def terms(self, task: OnePass, x0: Tensor, t: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        return task.one_pass(x0, t, batch, step, task.chooses)

    def forwards(self, dense: float, chosen: float) -> float:
        return chosen


@register("passes/full-and-masked", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class FullAndMasked:
    """A dense one, and one shortened as the model's plan says; the second's terms are called "masked ..."."""

    def terms(self, task: OnePass, x0: Tensor, t: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        full = task.one_pass(x0, t, batch, step, {})
        masked = task.one_pass(x0, t, batch, step.at(seed=step.seed ^ hash_text("masked pass")), task.chooses)
        return full | {f"masked {name}": term for name, term in masked.items()}

    def forwards(self, dense: float, chosen: float) -> float:
        return dense + chosen

"""What one diffusion step computes: one pass of the model, or a full and a masked one at the same time.

MDT (arXiv 2303.14389; facts from sail-sg/MDT masked_diffusion/train_util.py) adds the losses of a pass over all tokens and
of one that leaves tokens out, equally weighted, both over the whole state: the same t, other noise and other dropped
conditions in each. GenMD4 (arXiv 2406.04329; facts from google-deepmind/md4 md4/models/diffusion/genmd4.py) compares two
noisings of one time, which gives the gradient of what decides the noising (REINFORCE, leave one out).
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.random import hash_text
from frisket.core.registry import register
from frisket.core.state import State
from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.models.plans.base import Choose
from frisket.processes.base import Corrupted

CITE_GENMD4 = "Shi et al. Simplified and Generalized Masked Diffusion for Discrete Data. 2024. arXiv:2406.04329"
CITE = "Gao, Zhou, Cheng, Yan. Masked Diffusion Transformer is a Strong Image Synthesizer. 2023. arXiv:2303.14389"


class OnePass(Protocol):
    """A task that can compute the terms of one pass; chooses: who passes through the model's spans while training."""

    chooses: dict[str, Choose]

    def one_pass(
        self, x0: State, t: Tensor, batch: Batch, step: Step, chooses: Mapping[str, Choose]
    ) -> dict[str, Tensor]: ...

    def each(
        self, x0: State, t: Tensor, batch: Batch, step: Step, chooses: Mapping[str, Choose]
    ) -> tuple[dict[str, Float[Tensor, "b"]], Output, Corrupted]:
        """The terms of one pass, a sample."""
        ...


@runtime_checkable
class Passes(Protocol):
    """A registered value ("passes/...")."""

    def terms(self, task: Any, x0: State, t: Float[Tensor, "b ..."], batch: Batch, step: Step) -> dict[str, Tensor]:
        """The terms of all passes of one step on x0 (b, *s) at t. task: a `OnePass`."""
        ...

    def forwards(self, dense: float, chosen: float) -> float:
        """The cost of all passes, from that of a dense and of a shortened one."""
        ...


@register("passes/single")
@dataclass(frozen=True, kw_only=True)
class Single:
    """One, shortened as the model's plan says."""

    def terms(self, task: OnePass, x0: State, t: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        return task.one_pass(x0, t, batch, step, task.chooses)

    def forwards(self, dense: float, chosen: float) -> float:
        return chosen


@register("passes/full-and-masked", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class FullAndMasked:
    """A dense one, and one shortened as the model's plan says; the second's terms are called "masked ..."."""

    def terms(self, task: OnePass, x0: State, t: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        full = task.one_pass(x0, t, batch, step, {})
        masked = task.one_pass(x0, t, batch, step.at(seed=step.seed ^ hash_text("masked pass")), task.chooses)
        return full | {f"masked {name}": term for name, term in masked.items()}

    def forwards(self, dense: float, chosen: float) -> float:
        return dense + chosen


@register("passes/leave-one-out", cite=CITE_GENMD4)
@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """Two, at the same t with other noise, each the other's baseline: the mean of both losses, and `reinforce`, half
    their difference (held fixed) times the difference of the log chances that the process gives the two noisings. Its
    mean is 0; its gradient is what the loss's own lacks where the process learns how it noises."""

    def terms(self, task: Any, x0: State, t: Tensor, batch: Batch, step: Step) -> dict[str, Tensor]:
        if not hasattr(task.process, "log_chance"):
            raise FrisketError("passes/leave-one-out is for a process that learns how it hides, with a log_chance")
        steps = (step, step.at(seed=step.seed ^ hash_text("second noise")))
        (ours, output, c), (theirs, other, d) = (task.each(x0, t, batch, s, task.chooses) for s in steps)
        means = {name: ((ours[name] + theirs[name]) / 2).mean() for name in ours}
        means |= {name: (output.losses[name] + other.losses[name]) / 2 for name in output.losses}
        better = (torch.stack(list(ours.values())).sum(0) - torch.stack(list(theirs.values())).sum(0)).detach()
        chance = task.process.log_chance(c) - task.process.log_chance(d)
        return means | {"reinforce": (0.5 * better * chance).mean()}

    def forwards(self, dense: float, chosen: float) -> float:
        return 2 * chosen

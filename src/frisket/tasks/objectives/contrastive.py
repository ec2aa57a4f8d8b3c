"""Contrastive flow matching: a prediction is pushed away from what another sample's would have to be.

Stoica et al. (arXiv 2506.05350); facts from SwayStar123/SpeedrunDiT loss.py: minus the squared error to the target of the
sample before it in the batch (the targets rolled by one), mean over elements, coefficient 0.05. The term is not bounded
below, so the coefficient must stay small; below 1 the sum with the plain loss is. Of a state with several entries it is
taken of one (published: "x" alone). Its value depends on who else is in the batch, or in the micro-batch where a batch
is cut into pieces.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.state import MAIN
from frisket.processes.base import Process, expand
from frisket.processes.joint import entry_of, process_of
from frisket.processes.predictions import target
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.objectives.base import Pass

CITE = "Stoica et al. Contrastive Flow Matching. 2025. arXiv:2506.05350"


@register("objective/contrastive", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """weight: of the term, below 1. over: "uniform" in t, or "linear", times t. entry: of the state. name: of the term."""

    weight: float = 0.05
    over: Literal["uniform", "linear"] = "uniform"
    entry: str = MAIN
    name: str = "contrast"

    def __post_init__(self):
        check(0 <= self.weight < 1, "objective.weight", self.weight, "in [0, 1); from 1 on the loss has no minimum")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> ContrastiveTerm:
        """Raises `FrisketError` on a process that is not gaussian."""
        process = process_of(pipeline.process, self.entry)
        if not hasattr(process, "prediction"):
            raise FrisketError(f"objective/contrastive needs a gaussian process, not {type(process).__name__}")
        return ContrastiveTerm(self)


class ContrastiveTerm:
    """A built `Contrastive`."""

    sites: tuple[str, ...] = ()

    def __init__(self, config: Contrastive):
        self.config = config

    def loss(self, seen: Pass) -> dict[str, Float[Tensor, "b"]]:
        """The term, 0 or less. Raises `FrisketError` on a batch of one, which has no other sample."""
        config, pred = self.config, seen.output.pred
        c = entry_of(seen.corrupted, config.entry)
        if len(c.x_t) < 2:
            raise FrisketError("objective/contrastive compares samples of a batch; this batch has one")
        pred = pred[config.entry] if isinstance(pred, Mapping) else pred
        away = torch.roll(targets(seen.process, config.entry, c), 1, 0)
        error = (self._predicted(seen.process, pred, c.x_t) - away) ** 2
        if config.over == "linear":
            error = error * expand(c.t, error).to(error.dtype)
        return {config.name: -config.weight * error.flatten(1).mean(1)}

    def _predicted(self, process: Process, pred: Tensor, x_t: Tensor) -> Tensor:
        own: Any = process_of(process, self.config.entry)
        return own.variance.split(pred.to(x_t.dtype), x_t)[0]


def targets(process: Process, entry: str, c: Any) -> Float[Tensor, "b *s"]:
    """What a perfect network would put out for every sample."""
    own: Any = process_of(process, entry)
    return target(own.prediction, c.x0, c.noise, own.level(c.local, c.x_t))

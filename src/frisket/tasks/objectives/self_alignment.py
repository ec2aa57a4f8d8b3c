"""Alignment with oneself: what an early block makes of a noisy state points to what a later block of the averaged model
makes of the same state with less noise.

SRA (arXiv 2505.02831; facts from vvvvvjdy/SRA SiT-SRA/loss.py, train.py, models/sit.py): the teacher holds the average
that is also sampled from, sees the same data, the same noise and the same dropped conditions at max(t - gap u, 0), u
uniform and drawn for each sample, and gives its tokens as they are; the student's go through a head. The teacher has no
gradient. The official teacher runs to its end; here it stops behind its block. It runs dense; where a token plan has left
tokens of the student out, those that are there are compared. Nothing in it is of gaussian processes: less noise is also
fewer hidden symbols.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Handler, install
from frisket.core.step import use_step
from frisket.models.numbering import blocks_of
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.objectives.base import Pass
from frisket.tasks.objectives.distances import Cosine, Distance
from frisket.tasks.objectives.projector import Projector
from frisket.tasks.objectives.ramps import Ramp
from frisket.tasks.objectives.taps import number_of, same_tokens, site_of, state_tokens, tap, token_count

CITE = (
    "Jiang, Wang, Li, Zhang, Wang, Wei, Dai, Zhang, Wang. No Other Representation Component Is Needed: Diffusion "
    "Transformers Can Provide Representation Guidance by Themselves. 2025. arXiv:2505.02831"
)


@register("objective/self-alignment", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class SelfAlignment:
    """block, teacher_block: numbered from 0 (published 8 -> 20 is 7 -> 19). gap: how much less noise the teacher sees at
    most, in t. weight: of the distance; ramp: how it moves over training, None for flat. name: of the term."""

    block: int = 1
    teacher_block: int = 3
    gap: float = 0.2
    weight: float = 0.5
    distance: Distance = field(default_factory=Cosine)
    head: Projector = field(default_factory=lambda: Projector(hidden=None, layers=2))
    ramp: Ramp | None = None
    name: str = "self_alignment"

    def __post_init__(self):
        check(0 <= self.gap <= 1, "objective.gap", self.gap, "between 0 and 1")
        check(self.weight >= 0, "objective.weight", self.weight, "0 or more")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> SelfAlignmentModule:
        """Raises `FrisketError` if the model has no such blocks, or its process more than one time a sample."""
        site = site_of(pipeline.model, self.block, "objective.block")
        taught = site_of(pipeline.model, self.teacher_block, "objective.teacher_block")
        segments = getattr(getattr(pipeline.process, "clock", None), "count", lambda: 1)()
        check(segments == 1, "process.clock", f"one of {segments} times a sample", "one of a single time")
        width = pipeline.model.sizes.width  # type: ignore[union-attr]
        head = self.head.build(width, width)  # type: ignore[arg-type]
        return SelfAlignmentModule(self, site, taught, pipeline.model, head, token_count(pipeline))

    def step_macs(self, experiment: Any, forward: int) -> float:
        """The teacher's dense forward up to its block, and the head's forward and backward at every token."""
        model = experiment.model
        tokens, blocks = model.input.grid.tokens, self.teacher_block % model.depth + 1
        return forward * blocks / model.depth + 3.0 * tokens * self.head.macs(model.width, model.width)


class SelfAlignmentModule(nn.Module):
    """A built `SelfAlignment`: its head learns; the trainer keeps the model's first average in its teacher."""

    fixed = ("teacher",)

    def __init__(
        self, config: SelfAlignment, site: str, taught: str, model: nn.Module, head: nn.Module, tokens: int
    ):  # fmt: skip
        super().__init__()
        self.config, self.sites, self.taught, self.tokens = config, (site,), taught, tokens
        self.head = head
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def loss(self, seen: Pass) -> dict[str, Float[Tensor, "b"]]:
        config, step = self.config, seen.step
        h, ids = state_tokens(seen.taps[self.sites[0]], self.tokens)
        wanted = same_tokens(self.targets(seen, self.times(seen)), ids)
        ramp = 1.0 if config.ramp is None else config.ramp.factor(step.index, step.total)
        return {config.name: config.weight * ramp * config.distance.between(self.head(h), wanted)}

    def times(self, seen: Pass) -> Float[Tensor, "b"]:
        """The teacher's times: at most the student's, never below 0."""
        u = seen.step.draw(f"{self.config.name}/gap", (), "uniform")
        return (seen.t - self.config.gap * u.to(seen.t)).clamp(min=0)

    @torch.no_grad()
    def targets(self, seen: Pass, t: Float[Tensor, "b"]) -> Float[Tensor, "b n d"]:
        """What the teacher's block gives for the same state and noise at t."""
        corrupted = seen.process.corrupt(seen.x0, t, seen.corrupted.noise, seen.corrupted.known)
        self.teacher.eval()
        taps: dict[str, Any] = {}
        with use_step(seen.step.at(branch="teacher")), install(self.teacher, self._handlers(taps)):
            self.teacher(corrupted.x_t, seen.process.model_time(corrupted.local), seen.cond)
        return state_tokens(taps[self.taught], self.tokens)[0]

    def _handlers(self, taps: dict[str, Any]) -> dict[str, Handler]:
        """Read the teacher's block and leave out what stands behind it."""
        behind = range(number_of(self.taught) + 1, len(blocks_of(self.teacher)))
        left_out = {f"block[{i}]": _through for i in behind}
        return {self.taught: tap(self.taught, taps), **left_out, "head": _ended}


def _through(call, args, step):
    return args[0]


def _ended(call, args, step):
    return Output(args[0].h)

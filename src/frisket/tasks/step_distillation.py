"""Fewer sampling steps: the student goes in one step where its teacher goes in several.

Reconstruction of the second stage of arXiv 2501.03630 (MC-VTON), whose text states a distillation in latent space to 8
steps and no loss: on a fixed grid of knots, from a noised state at one knot, the teacher makes `substeps` Euler steps to
the next knot; the student's one Euler step must end at the same point (Huber). The gap is divided by the length of the
step, so it is one of mean velocities and knots far apart do not count more. It is one round of what progressive
distillation (arXiv 2202.00512) does again and again. No adversarial term (the paper may have one) is implemented.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.condition import Condition
from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.processes.base import expand, mean_over
from frisket.sampling.base import TimeGrid
from frisket.sampling.grids import Uniform
from frisket.sampling.levels import gaussian
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.diffusion import Diffusion

CITE = "Luan, Li, Zhao, Xing. MC-VTON: Minimal Control Virtual Try-On Diffusion Transformer. 2025. arXiv:2501.03630"


@register("task/step_distillation", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class StepDistillation:
    """teacher: its name among the trained pipelines that the experiment needs. steps: of the student's sampler, on
    `grid`. substeps: the teacher's, for each of them. delta: gap beyond which the loss grows linearly. diffusion: how
    data is encoded and conditions are dropped."""

    teacher: str = "teacher"
    steps: int = 8
    substeps: int = 3
    grid: TimeGrid = field(default_factory=Uniform)
    delta: float = 1.0
    diffusion: Diffusion = field(default_factory=Diffusion)

    def __post_init__(self):
        check(self.steps >= 1, "task.steps", self.steps, "at least 1")
        check(self.substeps >= 2, "task.substeps", self.substeps, "at least 2")
        check(self.delta > 0, "task.delta", self.delta, "positive")
        check(not self.diffusion.objectives, "task.diffusion.objectives", self.diffusion.objectives, "empty here")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> StepDistillationTask:
        """The task that trains the pipeline's model. Raises `FrisketError` without a teacher, on one of another process,
        and on a process that is not gaussian."""
        needs = needs or {}
        if self.teacher not in needs:
            raise unknown("needed pipeline", self.teacher, needs)
        teacher = needs[self.teacher]
        same = teacher.process == pipeline.process
        check(not pipeline.spec.beside, "state", sorted(pipeline.spec.beside), "of one tensor")
        check(same, "teacher's process", teacher.process, f"the student's, {pipeline.process}")
        return StepDistillationTask(self, pipeline, teacher.model)

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Forward and backward of the student, and the teacher's forwards."""
        return (3 + self.substeps) * forward


class StepDistillationTask(nn.Module):
    """Trains a pipeline's model towards its teacher's points; the teacher neither learns nor is saved."""

    def __init__(self, config: StepDistillation, pipeline: Pipeline, teacher: nn.Module):
        super().__init__()
        self.config = config
        self.plain = config.diffusion.build(pipeline)
        self.teacher = teacher
        self.process = gaussian(pipeline.process)
        self.knots = [float(t) for t in config.grid.times(config.steps, pipeline.process)]
        falls = all(a > b for a, b in pairwise(self.knots))
        check(falls, "task.grid", config.grid, "a grid that only goes down")
        self.fixed = ("plain.codec", "teacher")

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"model": self.plain.model}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`match`: the gap between the student's and the teacher's mean velocity over one student step."""
        x0 = self.plain.encode(batch, step)
        which = (self.plain.uniform(step) * (len(self.knots) - 1)).long()
        knots = torch.tensor(self.knots, dtype=torch.float64, device=x0.device)
        t, s = knots[which], knots[which + 1]
        noise = self.process.noise(tuple(x0.shape[1:]), step)
        x = self.process.corrupt(x0, t, noise).x_t
        cond = self.plain.conditions(batch, step)
        goal = self.walk(x, t, s, cond, step)
        ours = self.velocity(self.plain.model, x, t, cond, step)
        gap = functional.huber_loss(ours, goal, reduction="none", delta=self.config.delta)
        valid = batch.get("valid")
        if valid is not None and valid.ndim == x.ndim - 1:
            valid = valid.unsqueeze(1)
        return {"match": mean_over(gap, valid).mean()}

    @torch.no_grad()
    def walk(
        self, x: Float[Tensor, "b *s"], t: Float[Tensor, "b"], s: Float[Tensor, "b"], cond: Condition | None, step: Step
    ) -> Float[Tensor, "b *s"]:
        """The mean velocity of the teacher's way from x at t to time s."""
        self.teacher.eval()
        at, count = x, self.config.substeps
        for k in range(count):
            now, length = t + (s - t) * (k / count), (s - t) / count
            slope = self.velocity(self.teacher, at, now, cond, step.at(call=k + 1))
            at = at + expand(length, at).to(at.dtype) * slope
        return (at - x) / expand(s - t, x).to(x.dtype)

    def velocity(
        self, model: nn.Module, x: Tensor, t: Float[Tensor, "b"], cond: Condition | None, step: Step
    ) -> Float[Tensor, "b *s"]:
        """A model's dx / dt at x."""
        with use_step(step):
            output = model(x, self.process.model_time(t), cond)
        return self.process.velocity(self.process.estimate(output, x, t), x, t)

    def preview(self, step: Step, n: int) -> Any:
        return self.plain.preview(step, n)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The student's pipeline with these weights."""
        own = {n.removeprefix("plain."): v for n, v in weights.items() if n.startswith("plain.")}
        self.plain.save_model(folder, own)

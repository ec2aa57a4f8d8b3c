"""Distillation: the student learns its teacher's predictions and, fading out, what the teacher's blocks give.

Source: arXiv 2412.01199 (TinyFusion); facts from VainF/TinyFusion train_masked_kd.py and diffusion/gaussian_diffusion.py
(training_losses_kd_rep): share (output) + (1 - share) (the process's own loss) + features (masked representation), the
last weight falling linearly to zero over the run (there by epochs, here by steps). Student and teacher see the same
noised state with the same conditions dropped. Student block i is matched with the last teacher block of its share of
the depth (14 of 28: block 2 i + 1).
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition, Output
from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.models.numbering import blocks_of
from frisket.processes.base import Corrupted
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.matching import masked_gap, output_gap

CITE = "Fang, Li, Ma, Wang. TinyFusion: Diffusion Transformers Learned Shallow. 2024. arXiv:2412.01199"


@register("task/distillation", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Distillation:
    """teacher: its name among the trained pipelines that the experiment needs. share: of the output loss; the rest is
    the process's own. features: weight of the representation loss at the first step, 0 at the last; 0 for none.
    outliers: how many standard deviations an activation may lie out to be imitated. diffusion: how data is noised."""

    teacher: str = "teacher"
    share: float = 0.9
    features: float = 0.01
    outliers: float = 2.0
    diffusion: Diffusion = field(default_factory=Diffusion)

    def __post_init__(self):
        check(0 <= self.share <= 1, "task.share", self.share, "between 0 and 1")
        check(self.features >= 0, "task.features", self.features, "0 or more")
        check(self.outliers > 0, "task.outliers", self.outliers, "above 0")
        check(not self.diffusion.objectives, "task.diffusion.objectives", self.diffusion.objectives, "empty here")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of one training step for a sample: the student forward and backward, the teacher
        forward; the student is counted as large as its config, before any edit."""
        return 4.0 * forward

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> DistillationTask:
        """The task that trains the pipeline's model. Raises `FrisketError` without a teacher, and on one that was
        trained under another process."""
        needs = needs or {}
        if self.teacher not in needs:
            raise unknown("needed pipeline", self.teacher, needs)
        teacher = needs[self.teacher]
        same = teacher.process == pipeline.process
        check(same, "teacher's process", teacher.process, f"the student's, {pipeline.process}")
        return DistillationTask(self, pipeline, teacher.model)


class DistillationTask(nn.Module):
    """Trains a pipeline's model towards a teacher; the teacher neither learns nor is saved."""

    def __init__(self, config: Distillation, pipeline: Pipeline, teacher: nn.Module):
        super().__init__()
        self.config = config
        self.plain = config.diffusion.build(pipeline)
        self.teacher = teacher
        self.pairs = paired(len(blocks_of(self.plain.model)), len(blocks_of(teacher))) if config.features else ()
        self.fixed = ("plain.codec", "teacher")

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"model": self.plain.model}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """The process's terms, `match` (and `match_variance`) and `features`, all weighted."""
        config, process = self.config, self.plain.process
        corrupted, cond = self.plain.corrupt(batch, step)
        valid = batch.get("valid")
        output, ours = self._pass(self.plain.model, corrupted, cond, step, [i for i, _ in self.pairs])
        self.teacher.eval()
        with torch.no_grad():
            taught, theirs = self._pass(self.teacher, corrupted, cond, step, [j for _, j in self.pairs])
        terms = {k: v * (1 - config.share) for k, v in process.loss(output, corrupted, valid).items()}
        gaps = output_gap(process, output, taught, corrupted, valid)
        terms |= {name: gap * config.share for name, gap in gaps.items()}
        if self.pairs:
            weight = config.features * (1 - step.index / max(step.total - 1, 1))
            each = [masked_gap(ours[i], theirs[j], config.outliers) for i, j in self.pairs]
            terms["features"] = weight * torch.stack(each).mean(0)
        return {name: term.mean() for name, term in terms.items()} | output.losses

    def _pass(
        self, model: nn.Module, corrupted: Corrupted, cond: Condition | None, step: Step, blocks: list[int]
    ) -> tuple[Output, dict[int, Tensor]]:
        """A model's output, and the tokens that the blocks asked for give."""
        found: dict[int, Tensor] = {}
        taps = {f"block[{i}]": _tap(found, i) for i in blocks}
        time = self.plain.process.model_time(corrupted.local)
        with use_step(step), install(model, taps):  # type: ignore[arg-type]
            return model(corrupted.x_t, time, cond), found

    def preview(self, step: Step, n: int) -> Any:
        return self.plain.preview(step, n)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The student's pipeline with these weights."""
        self.plain.save_model(
            folder, {n.removeprefix("plain."): v for n, v in weights.items() if n.startswith("plain.")}
        )


def paired(student: int, teacher: int) -> tuple[tuple[int, int], ...]:
    """(student block, teacher block): the last teacher block of each student block's share of the depth."""
    check(student <= teacher, "student's depth", student, f"at most the teacher's {teacher}")
    return tuple((i, (i + 1) * teacher // student - 1) for i in range(student))


def _tap(found: dict[int, Tensor], i: int):
    def handle(call, args, step):
        tokens = call(*args)
        found[i] = tokens.h
        return tokens

    return handle

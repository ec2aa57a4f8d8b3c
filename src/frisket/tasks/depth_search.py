"""Learning which blocks to keep: gates over keep patterns and a low-rank update of the weights, trained together.

Source: arXiv 2412.01199 (TinyFusion); facts from VainF/TinyFusion prune_by_learning.py. The loss is the plain one of
the process, under masks drawn a sample at a time; the pattern that is kept is the likeliest of the averaged logits. The
update stands for the fine-tuning to come and is dropped: kept blocks take their own weights. Saving writes the pruned
pipeline, so the result of a search is a model like any other. Left open by the paper and chosen here: the temperature
falls by steps, as the released script has it (4 to 0.1, logits times 100).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from frisket.compression.depth import RemoveBlocks
from frisket.compression.gates import GroupGates, Groups, check_groups, gate_blocks
from frisket.compression.updates import LowRankUpdate
from frisket.core.edits import apply_edits
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.models.numbering import blocks_of
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.distillation import CITE


@register("task/depth_search", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class DepthSearch:
    """groups: (keep, of) of neighbouring blocks, over the whole depth. start: first logits. scale: factor on them.
    temperature: at the first and last step. rate: of the logits, in learning rates of the update. rank: of the weight
    update, 0 for none; alpha: its scale times the rank. diffusion: how data is noised."""

    groups: Groups
    start: float = 0.02
    scale: float = 100.0
    temperature: tuple[float, float] = (4.0, 0.1)
    rate: float = 10.0
    rank: int = 8
    alpha: float = 16.0
    diffusion: Diffusion = field(default_factory=Diffusion)

    def __post_init__(self):
        check_groups(self.groups)
        check(self.scale > 0, "task.scale", self.scale, "above 0")
        check(all(t > 0 for t in self.temperature), "task.temperature", self.temperature, "above 0 at both ends")
        check(self.rank >= 0, "task.rank", self.rank, "0 or more")
        check(not self.diffusion.objectives, "task.diffusion.objectives", self.diffusion.objectives, "empty here")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of one training step for a sample: no weight of the model gets a gradient, and those of
        the update are not counted."""
        return 2.0 * forward

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> DepthSearchTask:
        """Raises `FrisketError` unless the groups hold as many blocks as the model has."""
        check_groups(self.groups, len(blocks_of(pipeline.model)))
        return DepthSearchTask(self, pipeline)


class DepthSearchTask(nn.Module):
    """Trains gates and a weight update around a pipeline's model, which itself stays as it is."""

    def __init__(self, config: DepthSearch, pipeline: Pipeline):
        super().__init__()
        self.config = config
        self.plain = config.diffusion.build(pipeline)
        self.gates = GroupGates(config.groups, start=config.start, rate=config.rate).to(pipeline.device)
        self.update = LowRankUpdate(pipeline.model, config.rank, config.alpha) if config.rank else None
        self.fixed = ("plain.codec",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"gates": self.gates, **({} if self.update is None else {"update": self.update})}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """The process's terms under the masks that the step draws, one a sample."""
        process, model = self.plain.process, self.plain.model
        corrupted, cond = self.plain.corrupt(batch, step)
        mask = self.gates.sample(self.uniform(step), self.temperature(step), self.config.scale)
        updated = nullcontext() if self.update is None else self.update.on(model)
        with use_step(step), updated, install(model, gate_blocks(mask)):  # type: ignore[arg-type]
            output = model(corrupted.x_t, process.model_time(corrupted.local), cond)
        terms = process.loss(output, corrupted, batch.get("valid"))
        return {name: term.mean() for name, term in terms.items()} | output.losses

    def uniform(self, step: Step) -> Tensor:
        """The numbers that choose this step's patterns, (b, options)."""
        return step.draw("gates", (self.gates.options,), "uniform")

    def temperature(self, step: Step) -> float:
        first, last = self.config.temperature
        return first + (last - first) * min(1.0, step.index / max(step.total - 1, 1))

    def preview(self, step: Step, n: int) -> Any:
        """n samples of the model pruned as the gates stand."""
        return self.plain.config.build(self.pruned({})).preview(step, n)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pruned pipeline: the gates' averages among `weights` decide, the blocks keep their own weights."""
        self.pruned(weights).save_pretrained(folder)

    def pruned(self, weights: Mapping[str, Tensor]) -> Pipeline:
        """A copy of the pipeline without the blocks that the logits in `weights` (named as in this task; their present
        values where they are missing) do not keep."""
        gates = copy.deepcopy(self.gates)
        own = {n.removeprefix("gates."): v for n, v in weights.items() if n.startswith("gates.")}
        gates.load_state_dict(own or self.gates.state_dict())
        kept, held = gates.kept(), self.plain.pipeline
        model = copy.deepcopy(held.model)
        gone = tuple(i for i in range(len(blocks_of(model))) if i not in kept)
        apply_edits(model, [RemoveBlocks(indices=gone)] if gone else [])
        return Pipeline(model, held.process, held.codec, held.sampler, held.info, held.others)

"""Learning which heads and hidden units to keep: one gate a unit, shared by all times; only the gates learn.

Source: arXiv 2412.02852 (EcoDiff); facts from YaNgZhAnG-V5/EcoDiff scripts/train.py. With the aim `trajectory` the
whole sampler is run from the same noise with and without gates, and the final states are compared; the gradient goes
back through every step. Saving writes the pipeline without the units of the lowest logits, so the result is a model
like any other. The released code draws new gates when it computes a step again for its gradient; here the very draws
come back. Gates act before the output layers, whose biases stay.
Shapes: b batch, u units, `*s` the state's shape.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.compression.gates import UnitGates
from frisket.compression.penalties import Bounded, Penalty
from frisket.compression.prune import Scope, edit_of, lowest_units
from frisket.compression.width import units_of
from frisket.core.condition import Condition
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import Handler, install
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.recompute import recomputed
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion, DiffusionTask

CITE = (
    "Zhang, Jin, Dong, Khakzar, Torr, Stegmaier, Kawaguchi. Effortless Efficiency: Low-Cost Pruning of Diffusion "
    "Models. 2024. arXiv:2412.02852"
)


@runtime_checkable
class Aim(Protocol):
    """A registered value ("aim/..."): what the gated model is to give as the ungated one does."""

    def gap(
        self, plain: DiffusionTask, handlers: Mapping[str, Handler], batch: Batch, step: Step
    ) -> Float[Tensor, "b"]:
        """Mean square a sample of the difference that the gates in `handlers` make."""
        ...

    def forwards(self, pipeline_sampler: Sampler | None) -> float:
        """Forwards of the model that one training step costs a sample, a backward counted as one (the weights get no
        gradient)."""
        ...


@register("aim/trajectory")
@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The state at the end of the sampler, from the same noise and conditions. sampler: the pipeline's own if None."""

    sampler: Sampler | None = None

    def gap(
        self, plain: DiffusionTask, handlers: Mapping[str, Handler], batch: Batch, step: Step
    ) -> Float[Tensor, "b"]:
        pipeline, model = plain.pipeline, plain.model
        sampler = self.sampler or pipeline.sampler
        cond = undropped(plain.conditions(batch, step))
        run = {"shape": pipeline.spec.shape, "step": step.at(index=0, total=0, run="width_search"), "cond": cond,
               "others": pipeline.others}  # fmt: skip
        with torch.no_grad():
            wanted = sampler.sample(model, plain.process, **run)
        with install(model, {**handlers, **recomputed()}):  # type: ignore[arg-type]
            found = sampler.sample(model, plain.process, grad=True, **run)
        return (found - wanted).square().flatten(1).mean(1)

    def forwards(self, pipeline_sampler: Sampler | None) -> float:
        sampler = self.sampler or pipeline_sampler
        assert sampler is not None
        return 4.0 * sampler.steps * (1 + len(sampler.guidance.others))


@register("aim/one_step")
@dataclass(frozen=True, kw_only=True)
class OneStep:
    """The prediction for one noised state: what a search that does not run the sampler can compare."""

    def gap(
        self, plain: DiffusionTask, handlers: Mapping[str, Handler], batch: Batch, step: Step
    ) -> Float[Tensor, "b"]:
        corrupted, cond = plain.corrupt(batch, step)
        time = plain.process.model_time(corrupted.local)
        with use_step(step):
            with torch.no_grad():
                wanted = plain.model(corrupted.x_t, time, cond).pred
            with install(plain.model, handlers):  # type: ignore[arg-type]
                found = plain.model(corrupted.x_t, time, cond).pred
        return (found - wanted).square().flatten(1).mean(1)

    def forwards(self, pipeline_sampler: Sampler | None) -> float:
        return 3.0


@register("task/width_search", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class WidthSearch:
    """heads, hidden: shares of all heads and of all hidden units that are to go. scope: ranked over the whole model
    ("global", which may empty a branch) or in each branch ("local"). aim: what is to stay as it was. penalty, weight:
    what open gates cost. start: first logits. eps: the larger, the weaker the gates' noise. draws: new gates at each
    step of the sampler or one set a trajectory. head_rate, hidden_rate: factors on the learning rate. diffusion: how
    data is noised, and the conditions; none is dropped along a trajectory."""

    heads: float = 0.25
    hidden: float = 0.25
    scope: Scope = "global"
    aim: Aim = field(default_factory=Trajectory)
    penalty: Penalty = field(default_factory=Bounded)
    weight: float = 0.01
    start: float = 3.0
    eps: float = 0.1
    draws: Literal["step", "trajectory"] = "step"
    head_rate: float = 1.0
    hidden_rate: float = 0.2
    diffusion: Diffusion = field(default_factory=Diffusion)

    def __post_init__(self):
        for name in ("heads", "hidden"):
            check(0 <= getattr(self, name) < 1, f"task.{name}", getattr(self, name), "at least 0 and below 1")
        check(self.scope in ("global", "local"), "task.scope", self.scope, "'global' or 'local'")
        check(self.draws in ("step", "trajectory"), "task.draws", self.draws, "'step' or 'trajectory'")
        check(self.weight >= 0, "task.weight", self.weight, "0 or more")
        check(self.eps > 0, "task.eps", self.eps, "above 0")
        check(not self.diffusion.objectives, "task.diffusion.objectives", self.diffusion.objectives, "empty here")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of one training step for a sample, from those of a forward."""
        return self.aim.forwards(experiment.sampler) * forward

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> WidthSearchTask:
        """Raises `FrisketError` on a model without units to gate, and on states of ids, which have no gradient."""
        if not units_of(pipeline.model):
            raise FrisketError(f"{type(pipeline.model).__name__} has no heads or hidden units that could be gated")
        if pipeline.spec.kind != "continuous":
            raise FrisketError("a width search needs continuous states; ids let no gradient through the sampler")
        return WidthSearchTask(self, pipeline)


class WidthSearchTask(nn.Module):
    """Trains the gates around a pipeline's model, which itself stays as it is."""

    def __init__(self, config: WidthSearch, pipeline: Pipeline):
        super().__init__()
        self.config = config
        self.plain = config.diffusion.build(pipeline)
        sites = {s: n for s, n in units_of(pipeline.model).items() if self._share(s) > 0}
        rates = {s: config.head_rate if s.endswith(".attend") else config.hidden_rate for s in sites}
        self.gates = UnitGates(sites, start=config.start, rates=rates).to(pipeline.device)
        self.fixed = ("plain.codec",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"gates": self.gates}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`match`, what the gates change, and `open`, what open heads and open hidden units cost."""
        config = self.config
        self.plain.model.eval()
        gap = config.aim.gap(self.plain, self.gates.handlers(config.eps, config.draws), batch, step)
        named = dict(zip(self.gates.sites, self.gates.logits, strict=True))
        kinds = [[v.float() for s, v in named.items() if s.endswith(k)] for k in (".attend", ".hidden")]
        cost = torch.stack([config.penalty.of(logits) for logits in kinds if logits]).sum()
        return {"match": gap.mean(), "open": config.weight * cost}

    def preview(self, step: Step, n: int) -> Any:
        """n samples of the model without the units that the gates would remove as they stand."""
        return self.plain.config.build(self.pruned({})).preview(step, n)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pruned pipeline: the logits among `weights` decide, what is kept has its own weights."""
        self.pruned(weights).save_pretrained(folder)

    def pruned(self, weights: Mapping[str, Tensor]) -> Pipeline:
        """A copy of the pipeline without the units of the lowest logits in `weights` (named as in this task; their
        present values where they are missing)."""
        gates, held = copy.deepcopy(self.gates), self.plain.pipeline
        own = {n.removeprefix("gates."): v for n, v in weights.items() if n.startswith("gates.")}
        gates.load_state_dict(own or self.gates.state_dict())
        shares = {"heads": self.config.heads, "hidden": self.config.hidden}
        removed = lowest_units(gates.scores(), shares, self.config.scope)
        made = Pipeline(copy.deepcopy(held.model), held.process, held.codec, held.sampler, held.info, held.others)
        apply_edits(made.model, [edit_of(removed, made)])
        return made

    def _share(self, site: str) -> float:
        return self.config.heads if site.endswith(".attend") else self.config.hidden


def undropped(cond: Condition | None) -> Condition | None:
    """The condition with nothing dropped: guidance drops what it needs to."""
    return None if cond is None else Condition(cond.values)

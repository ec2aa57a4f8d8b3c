"""The diffusion task: encode, draw a time and noise, corrupt, predict, compare. For any process, gaussian or masked.

All numbers that a step draws come from its `Step`, a sample at a time: the posterior of the codec ("latent"), the time,
the noise, what is known, which conditions are dropped, and which tokens pass through the spans of a plan. Terms are
means over the batch of one number a sample, so a batch cut into pieces gives the mean of the whole.
Shapes: b batch, k times a sample under a clock with segments, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import Codec
from frisket.codecs.readers import encoded_batch
from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.models.base import Keep
from frisket.models.count import count_macs_chosen
from frisket.models.plans.base import Choose, draw
from frisket.models.spans import run_of
from frisket.processes.base import Corrupted, Process
from frisket.processes.known import Known
from frisket.processes.makers import Maker
from frisket.sampling.conditions import class_counts
from frisket.sampling.encoded import encoded
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.objectives.base import Objective, ObjectiveConfig, Pass
from frisket.tasks.objectives.taps import check_sites, tap
from frisket.tasks.passes import Passes, Single


@register("task/diffusion")
@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """drop: probability that a condition is dropped from a sample, each name by itself; drops: other numbers for some
    names. times: "stratified", a low-discrepancy sequence over the order of samples, "uniform", independent, or "shared",
    one for the whole batch (so that all rows have as much hidden). known:
    what is given and kept clean while training (inpainting, prompts, histories). choose: who passes through spans of the
    model, in place of its plan's own choice ("choose/all" for a dense phase). passes: what one step computes."""

    drop: float = 0.1
    drops: dict[str, float] = field(default_factory=dict)
    times: str = "stratified"
    known: Maker | None = None
    objectives: tuple[ObjectiveConfig, ...] = ()
    choose: dict[str, Choose] = field(default_factory=dict)
    passes: Passes = field(default_factory=Single)

    def __post_init__(self):
        for name, value in {"drop": self.drop, **{f"drops.{n}": p for n, p in self.drops.items()}}.items():
            check(0 <= value <= 1, f"task.{name}", value, "a probability")
        ways = ("stratified", "uniform", "shared")
        check(self.times in ways, "task.times", self.times, f"one of {', '.join(ways)}")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of a training step for one sample of a fitted `experiment`: three forwards for each pass,
        in the mean over who passes through the model's spans, and what objectives state. forward: those of a dense
        one."""
        chosen = mean_forward(experiment, chooses_of(experiment.model, self.choose), forward)
        stated = [macs for macs in (getattr(o, "step_macs", None) for o in self.objectives) if macs is not None]
        more = sum(macs(experiment, forward) for macs in stated) * self.passes.forwards(1, 1)
        return 3 * self.passes.forwards(forward, chosen) + more

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> DiffusionTask:
        """The task that trains the pipeline's model, previews with its sampler and saves it whole. Conditions that are
        not raw in the batch (captions) go through the pipeline's readers. needs: what objectives read (an encoder).
        Raises `FrisketError` as they do, and on an objective that reads a block which whole samples skip."""
        return DiffusionTask(self, pipeline, needs)


class DiffusionTask(nn.Module):
    """Trains a pipeline's model to undo its process on states of its codec; calling it computes the loss.

    Objectives' own weights, and those of a process that has some, learn with the model; an objective's stay in its
    checkpoints, out of the saved pipeline. A codec with weights, and what an objective calls `fixed`, is moved with the
    task, but neither learns nor is saved with it."""

    def __init__(self, config: Diffusion, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None):
        super().__init__()
        self.config, self.pipeline = config, pipeline
        self.model: nn.Module = pipeline.model
        self.process: Process = pipeline.process
        self.codec: Codec = pipeline.coder
        self.readers = nn.ModuleDict(pipeline.readers)
        self.reads = conditions_of(self.model)
        for name in (*self.readers, *config.drops):
            if name not in self.reads:
                raise FrisketError(
                    f"the model reads no condition {name!r} (it reads: {', '.join(self.reads) or 'none'})"
                )
        self.objectives: list[Objective] = [o.build(pipeline, needs or {}) for o in config.objectives]
        self.projectors = nn.ModuleList(o for o in self.objectives if isinstance(o, nn.Module))
        self.chooses = chooses_of(getattr(self.model, "config", None), config.choose)
        self.sites = sorted({site for objective in self.objectives for site in objective.sites})
        check_sites(pipeline, self.sites, self.chooses)
        held = [f"projectors.{i}.{name}" for i, o in enumerate(self.projectors) for name in getattr(o, "fixed", ())]
        self.fixed = ("codec", "readers", *held)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        own = {"projectors": self.projectors} if len(self.projectors) else {}
        learnt = {"process": self.process} if isinstance(self.process, nn.Module) else {}
        return {"model": self.model, **own, **learnt}

    def followers(self) -> dict[str, tuple[nn.Module, ...]]:
        """What holds the model's average while it trains: the objectives' teachers."""
        teachers = tuple(o.teacher for o in self.objectives if hasattr(o, "teacher"))  # type: ignore[attr-defined]
        return {"model": teachers} if teachers else {}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Named scalars whose sum is minimised: the process's terms, the objectives', the model's own, of every pass.

        Raises `FrisketError` if the batch lacks a condition that the model reads, or two terms share a name.
        """
        return self.config.passes.terms(self, *self.timed(batch, step), batch, step)

    def one_pass(
        self, x0: Tensor, t: Float[Tensor, "b ..."], batch: Batch, step: Step, chooses: Mapping[str, Choose]
    ) -> dict[str, Tensor]:
        """The terms of one forward of the model on states x0 noised to t, spans shortened as `chooses` says."""
        terms, output, _ = self.each(x0, t, batch, step, chooses)
        means = {name: term.mean() for name, term in terms.items()}
        _add(means, output.losses)
        return means

    def each(
        self, x0: Tensor, t: Float[Tensor, "b ..."], batch: Batch, step: Step, chooses: Mapping[str, Choose]
    ) -> tuple[dict[str, Float[Tensor, "b"]], Output, Corrupted]:
        """The same before the mean: terms a sample, the model's output, and the noised states."""
        corrupted, cond = self.noised(x0, t, batch, step)
        keep = self.keep(corrupted, chooses, step)
        output, taps = self.predict(corrupted, cond, step, keep)
        terms = dict(self.process.loss(output, corrupted, batch.get("valid")))
        seen = Pass(batch, step, self.process, self.codec, self.model, cond, corrupted, output, taps)
        for objective in self.objectives:
            _add(terms, objective.loss(seen))
        return terms, output, corrupted

    def preview(self, step: Step, n: int) -> Any:
        """n samples of the model as it is, in the data's range; class conditions take their classes in turn, any other
        condition is dropped."""
        counts = class_counts(self.model, self.pipeline.info)
        turns: dict[str, Any] = {
            name: [i % counts[name] for i in range(n)] if name in counts else None
            for name in self.reads if name not in self.pipeline.stages
        }  # fmt: skip
        return self.pipeline.sample(n, seed=step.seed, **turns)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline with these weights (named as in this task), to be loaded by `Pipeline.from_pretrained`."""
        own, process = (
            {n.removeprefix(first): v for n, v in weights.items() if n.startswith(first)}
            for first in ("model.", "process.")
        )
        self.pipeline.save_pretrained(folder, own, process)

    def corrupt(self, batch: Batch, step: Step) -> tuple[Corrupted, Condition | None]:
        """The batch's states as the network will see them, and the conditions it is given."""
        return self.noised(*self.timed(batch, step), batch, step)

    def timed(self, batch: Batch, step: Step) -> tuple[Tensor, Float[Tensor, "b ..."]]:
        """The batch's clean states, and the times of this step."""
        return self.encode(batch, step), self.process.times(self.uniform(step))

    def noised(
        self, x0: Tensor, t: Float[Tensor, "b ..."], batch: Batch, step: Step
    ) -> tuple[Corrupted, Condition | None]:
        """x0 at t under this step's noise, and the conditions with this step's drops."""
        noise = self.process.noise(tuple(x0.shape[1:]), step)
        known = self.make_known(x0, batch, step)
        return self.process.corrupt(x0, t, noise, known), self.conditions(batch, step, known)

    def encode(self, batch: Batch, step: Step) -> Tensor:
        """The clean state; a codec that says `stochastic` is given a draw for its posterior. No gradient."""
        with torch.no_grad():
            if not getattr(self.codec, "stochastic", False):
                return self.codec.encode(batch["x"])
            mode = self.codec.encode(batch["x"])
            return self.codec.encode(batch["x"], step.draw("latent", tuple(mode.shape[1:])).to(mode.dtype))

    def uniform(self, step: Step) -> Float[Tensor, "b ..."]:
        """float64 in [0, 1): (b,), or (b, k), independent, where the process has a clock of k > 1 segments."""
        clock = getattr(self.process, "clock", None)
        segments = clock.count() if clock is not None else 1
        if segments > 1:
            return step.draw("time", (segments,), "uniform")
        if self.config.times == "shared":
            return step.shared("time").expand(len(step.sample))
        return step.stratified("time") if self.config.times == "stratified" else step.draw("time", (), "uniform")

    def make_known(self, x0: Tensor, batch: Batch, step: Step) -> Known | None:
        maker = self.config.known
        return None if maker is None else maker.known(x0, step, x0.is_floating_point(), batch.get("instances"))

    def conditions(self, batch: Batch, step: Step, known: Known | None = None) -> Condition | None:
        """The values of what the model reads, each dropped in the rows that the step says. "known" is a condition that
        the task itself can give: where the state is known, float (b, 1, *grid)."""
        if not self.reads:
            return None
        chance = {name: self.config.drops.get(name, self.config.drop) for name in self.reads if name != "known"}
        optional = getattr(getattr(self.model, "doors", None), "optional", ())
        closed = {name for name in optional if chance.get(name, 0) >= 1}
        chance = {name: p for name, p in chance.items() if name not in closed}
        values = {name: self._value(name, batch, step, known) for name in self.reads if name not in closed}
        drop = {name: step.draw(f"drop/{name}", (), "uniform") < p for name, p in chance.items() if p > 0}
        return encoded(Condition(values, drop), self.model, self.codec)

    def _value(self, name: str, batch: Batch, step: Step, known: Known | None) -> Tensor:
        if name == "known" and known is not None:
            return known.where.float()
        return encoded_batch(batch, name, self.pipeline.readers).to(step.sample.device)

    def keep(self, corrupted: Corrupted, chooses: Mapping[str, Choose], step: Step) -> Keep | None:
        """Who passes through each span in this pass; None where everybody does."""
        if not chooses:
            return None
        return draw(chooses, self.model.tags(corrupted.x_t), step, corrupted.t) or None  # type: ignore[operator]

    def predict(
        self, corrupted: Corrupted, cond: Condition | None, step: Step, keep: Keep | None = None
    ) -> tuple[Output, dict[str, Any]]:
        """The model's output, and what the sites that objectives ask for returned."""
        time = self.process.model_time(corrupted.local)
        taps: dict[str, Any] = {}
        tapped = install(self.model, {s: tap(s, taps) for s in self.sites}) if self.sites else nullcontext()
        with use_step(step), tapped:
            return self.model(corrupted.x_t, time, cond, **({} if keep is None else {"keep": keep})), taps


def conditions_of(model: nn.Module) -> tuple[str, ...]:
    """The names of the conditions that a model reads: its `conditions`, else its doors', () if it has neither."""
    named = getattr(model, "conditions", None)
    return tuple(named if named is not None else getattr(getattr(model, "doors", None), "ways", ()))


def chooses_of(config: Any, instead: Mapping[str, Choose]) -> dict[str, Choose]:
    """Who passes through each span while training, by the plan in a model's config or as `instead` says. Raises
    `FrisketError` on spans that the model does not have."""
    plan = getattr(config, "plan", None)
    own = {span.name: span.choose for span in plan.spans} if plan is not None else {}
    for name in instead:
        if name not in own and run_of(name) is None:
            raise unknown("span in task.choose", name, own)
    return {name: choose for name, choose in {**own, **instead}.items() if choose is not None}


def mean_forward(experiment: Any, chooses: Mapping[str, Choose], forward: int) -> float:
    """Multiply-accumulates of one forward of a fitted experiment's model, in the mean over `chooses`."""
    if not chooses:
        return forward
    with torch.device("meta"):
        model = experiment.model.build()
    spec = experiment.codec.build().spec(experiment.data.open("train").info)
    return count_macs_chosen(model, spec.shape, chooses)


def _add(terms: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    for name, term in more.items():
        if name in terms:
            raise FrisketError(f"two loss terms are called {name!r}; an objective needs a name of its own")
        terms[name] = term

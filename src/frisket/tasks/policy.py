"""Reinforcement learning of a reveal policy: groups of runs of the frozen model, judged by the data, compared.

arXiv 2512.09106 with group-relative advantages (GRPO, arXiv 2402.03300). A step draws one batch of problems, runs the
pipeline's own sampler `group` times on each, pays right answers by how few forwards they took, and raises the chance of
the decisions of runs that earned more than their group. Left open by what is public: the form of the speed factor and
the optimiser's use of old runs. Ours: a right answer after T forwards with H places hidden earns
(1 - (T - 1) / H)^speed, so one forward earns all and a wrong answer nothing; and the policy that acts is a copy,
renewed every `refresh` steps, so the clipped ratio has work to do while every step runs afresh and resumes exactly.
Runs are ordinary: whatever the order and select draw is replayed from the Step. A forced reveal is no decision of the
policy and is left out of the ratio.
Shapes: b problems, g runs of each (rows b * g), n tokens, m decisions (a row in a move).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.random import hash_text
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.processes.known import Known
from frisket.sampling.base import Snapshot
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.learned import CITE_POLICY, Chance, Learned, policy_of
from frisket.sampling.hiding import hidden_of
from frisket.sampling.pipeline import Pipeline


class Judge(Protocol):
    """A registered value ("judge/..."): whether what was made for a batch of problems is right."""

    def right(self, made: Int[Tensor, "b n"], batch: Batch) -> Bool[Tensor, "b"]: ...


@register("task/policy", cite=CITE_POLICY)
@dataclass(frozen=True, kw_only=True)
class Policy:
    """judge: of finished states; the batch's `known` says what is given. group: runs of a problem. speed: how much fewer
    forwards are worth, 0 pays correctness alone. clip: how far a ratio may move. refresh: steps between renewals of the
    policy that acts. entropy: what a hidden place's undecided chance is paid, times its entropy in nats."""

    judge: Judge
    group: int = 8
    speed: float = 1.0
    clip: float = 0.2
    refresh: int = 4
    entropy: float = 0.0

    def __post_init__(self):
        check(self.group >= 2, "task.group", self.group, "at least 2, or nothing is compared")
        check(self.speed >= 0, "task.speed", self.speed, "0 or more")
        check(self.clip > 0, "task.clip", self.clip, "positive")
        check(self.refresh >= 1, "task.refresh", self.refresh, "1 step or more")
        check(self.entropy >= 0, "task.entropy", self.entropy, "0 or more")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> PolicyTask:
        return PolicyTask(self, pipeline)

    def step_macs(self, experiment: Any, forward: int) -> int:
        """An upper estimate: half the state is hidden and a run takes half as many forwards."""
        shape = experiment.codec.build().spec(experiment.data.open("train").info).shape
        tokens = 1
        for side in shape:
            tokens *= side
        return self.group * forward * max(1, tokens // 4)


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """All decisions of a batch of runs. confidence, hidden, chosen: what the policy saw and did. row: whose run. free:
    not forced. earned: of the rows, (b * g,). forwards: of the rows."""

    confidence: Float[Tensor, "m n"]
    hidden: Bool[Tensor, "m n"]
    chosen: Bool[Tensor, "m n"]
    row: Int[Tensor, "m"]
    free: Bool[Tensor, "m"]
    earned: Float[Tensor, "rows"]
    forwards: Int[Tensor, "rows"]


class Acting:
    """A model that decides with another policy than its own."""

    def __init__(self, model: nn.Module, policy: nn.Module):
        self.model, self.policy = model, policy

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.model(*args, **options)


class PolicyTask(nn.Module):
    """Trains the policy of a pipeline's model; calling it computes the loss. The model itself does not learn."""

    def __init__(self, config: Policy, pipeline: Pipeline):
        super().__init__()
        self.config, self.pipeline = config, pipeline
        self.select = _select_of(pipeline)
        self.model: nn.Module = pipeline.model
        self.acting = copy.deepcopy(policy_of(pipeline.model)).requires_grad_(False)
        self.codec = pipeline.coder
        self.fixed = ("codec",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"policy": policy_of(self.model)}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`policy`, the clipped objective; `missed`, what the runs failed to earn (a constant to the gradient, so that
        records show it); `entropy`, if it is paid."""
        made = self.runs(batch, step)
        advantage = advantages(made.earned, self.config.group)
        ratio = (self._log_chance(policy_of(self.model), made) - self._log_chance(self.acting, made)).exp()
        gain = clipped_gain(ratio, advantage[made.row], self.config.clip) * made.free
        count = torch.zeros_like(made.earned).index_add(0, made.row, torch.ones_like(gain))
        mean = torch.zeros_like(made.earned).index_add(0, made.row, gain) / count.clamp(min=1)
        terms = {"policy": -mean.mean(), "missed": 1 - made.earned.mean()}
        if self.config.entropy:
            terms["entropy"] = -self.config.entropy * self._undecided(made)
        return terms

    def after_step(self, step: Step) -> None:
        if (step.index + 1) % self.config.refresh == 0:
            self.acting.load_state_dict(policy_of(self.model).state_dict())

    def preview(self, step: Step, n: int) -> Any:
        return self.pipeline.sample(n, seed=step.seed)

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline with these weights (named as in this task), policy and all."""
        own = {n.removeprefix("model."): v for n, v in weights.items() if n.startswith("model.")}
        self.pipeline.save_pretrained(folder, own)

    @torch.no_grad()
    def runs(self, batch: Batch, step: Step) -> Decisions:
        """`group` runs of every problem by the acting policy, and what they earned."""
        if "known" not in batch:
            raise FrisketError(f"task/policy needs problems with something known; a batch holds {', '.join(batch)}")
        group, pipeline = self.config.group, self.pipeline
        problems = {k: v.repeat_interleave(group, 0) for k, v in batch.items() if isinstance(v, Tensor)}
        state = self.codec.encode(problems["x"])
        known = Known(values=state, where=problems["known"])
        ids = (step.sample[:, None] * group + torch.arange(group, device=step.sample.device)).flatten()
        start = Step(seed=step.seed ^ hash_text("policy/runs"), sample=ids)
        training = self.model.training
        self.model.eval()
        try:
            run = pipeline.sampler.run(
                Acting(self.model, self.acting), pipeline.process, shape=tuple(state.shape[1:]), step=start, known=known
            )
            shots = list(run)
        finally:
            self.model.train(training)
        return self._decisions(shots, known, problems, start)

    def _decisions(self, shots: list[Snapshot], known: Known, problems: Batch, start: Step) -> Decisions:
        parts, forwards = [], torch.zeros(len(known.values), dtype=torch.int64, device=known.values.device)
        x = known.impose(shots[0].x)
        first = hidden_of(self.pipeline.process, x).flatten(1).sum(1)
        for shot in shots[1:]:
            hidden = hidden_of(self.pipeline.process, x).flatten(1)
            rows = hidden.any(1).nonzero()[:, 0]
            if len(rows):
                assert shot.estimate is not None
                assert shot.estimate.logits is not None
                confidence = _confidence(shot.estimate.logits)
                scores = self.acting(confidence, hidden[rows]).to(torch.float64)
                at = start.at(index=shot.index - 1, total=shot.total).rows(rows)
                chosen = self.select.fallen(hidden[rows], scores, at)
                parts.append((confidence, hidden[rows], chosen, rows, chosen.any(1)))
                forwards[rows] += 1
            x = shot.x
        confidence, hidden, chosen, row, free = (torch.cat(column) for column in zip(*parts, strict=True))
        right = self.config.judge.right(x, problems)
        earned = right * (1 - (forwards - 1) / first.clamp(min=1)) ** self.config.speed
        return Decisions(
            confidence=confidence, hidden=hidden, chosen=chosen, row=row, free=free, earned=earned, forwards=forwards
        )

    def _undecided(self, made: Decisions) -> Tensor:
        """Mean entropy of a hidden place's decision, nats: over a run's decisions, then over runs."""
        scores = policy_of(self.model)(made.confidence, made.hidden) / self.select.temperature
        chance = torch.sigmoid(scores)
        nats = torch.nn.functional.softplus(scores) - chance * scores
        each = (nats * made.hidden).sum(1) / made.hidden.sum(1)
        total = torch.zeros(len(made.earned), dtype=each.dtype, device=each.device).index_add(0, made.row, each)
        return (total / made.forwards.clamp(min=1)).mean()

    def _log_chance(self, policy: nn.Module, made: Decisions) -> Float[Tensor, "m"]:
        """Log probability of every decision, the places that wait included."""
        return log_chance(policy(made.confidence, made.hidden) / self.select.temperature, made.hidden, made.chosen)


def log_chance(
    scores: Float[Tensor, "m n"], hidden: Bool[Tensor, "m n"], chosen: Bool[Tensor, "m n"]
) -> Float[Tensor, "m"]:
    """Log probability that of the `hidden` places just `chosen` fall, each by itself with chance sigmoid(score)."""
    each = torch.nn.functional.logsigmoid(torch.where(chosen, scores, -scores))
    return (each * hidden).sum(1)


def advantages(earned: Float[Tensor, "rows"], group: int) -> Float[Tensor, "rows"]:
    """(earned - mean) / (std + 1e-4) within each group of consecutive rows; 0 in a group that earned alike."""
    grouped = earned.unflatten(0, (-1, group))
    centred = grouped - grouped.mean(1, keepdim=True)
    return (centred / (grouped.std(1, keepdim=True) + 1e-4)).flatten()


def clipped_gain(ratio: Float[Tensor, "m"], advantage: Float[Tensor, "m"], clip: float) -> Float[Tensor, "m"]:
    """min(ratio x advantage, ratio kept within 1 +- clip x advantage): what lies beyond is not pushed further."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def _confidence(logits: Tensor) -> Float[Tensor, "r n"]:
    """Probability of the best id, as the decoder computes it."""
    return torch.log_softmax(logits.flatten(1, -2).to(torch.float64), dim=-1).amax(-1).exp()


def _select_of(pipeline: Pipeline) -> Chance:
    """The select that draws the policy's decisions. Raises `FrisketError` on a sampler that does not follow it."""
    update = pipeline.sampler.update
    if not isinstance(update, Ordered) or update.orders != (Learned(),) or not isinstance(update.select, Chance):
        raise FrisketError("task/policy trains a sampler whose update is Ordered(orders=(Learned(),), select=Chance())")
    check(update.select.temperature > 0, "select.temperature", update.select.temperature, "positive while training")
    tokens = 1
    for side in pipeline.spec.shape:
        tokens *= side
    check(pipeline.sampler.steps >= tokens, "sampler.steps", pipeline.sampler.steps,
          f"at least the {tokens} tokens, so that the policy ends a run and not the grid")  # fmt: skip
    return update.select

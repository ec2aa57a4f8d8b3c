"""Edits by words, scored: a digit of a captioned scene is exchanged, everything else should stay.

Scenes show objects side by side (`arrange/sides`); the edited one is the first, and its new class is drawn. Images are
read by the scenes' judge "score", which never trained or guided anything. What must stay is known exactly, pixel by
pixel: the ground, and the other objects.
Shapes: b images, h w pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Data
from frisket.data.scenes.judge import reader
from frisket.data.scenes.layers import layers
from frisket.data.scenes.source import Scenes, ScenesSource
from frisket.data.scenes.table import Table
from frisket.data.scenes.views import instances
from frisket.data.scenes.words import captions
from frisket.sampling.guidance import Guidance
from frisket.sampling.inversion import Trajectory
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.rewording import Reworded, reword
from frisket.sampling.sampler import Sampler

DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class Task:
    """x (b, 3, h, w) with its captions before and after, the scene wanted, and which pixels belong to what: ground (b, 1,
    h, w), others (b, 1, h, w) the untouched objects."""

    x: Tensor
    before: list[str]
    after: list[str]
    wanted: Table
    ground: Bool[Tensor, "b 1 h w"]
    others: Bool[Tensor, "b 1 h w"]


def task_of(data: Data, n: int, seed: int) -> Task:
    """n held-out scenes with a new class for each one's first digit. Raises `FrisketError` on data other than scenes."""
    check(isinstance(data, Scenes), "data of score/rewording", data, "scenes")
    source = data.open("test")  # type: ignore[union-attr]
    assert isinstance(source, ScenesSource)
    ids = torch.arange(n)
    table, size = source.table(ids), source.config.size
    label = table.objects["label"]
    shift = (
        1 + (random.uniform(random.key(seed, ids, random.hash_text("reword")), 1)[:, 0] * (DIGITS - 1)).floor().long()
    )
    new = label.clone()
    new[:, 0] = (label[:, 0] + shift) % DIGITS
    wanted = replace(table, objects=table.objects | {"label": new})
    owner = instances(layers(table, size))[:, None]  # 0 the ground, 1 the first object
    facts = source.config.facts
    return Task(
        x=source.batch(ids)["x"], before=captions(table, facts), after=captions(wanted, facts), wanted=wanted,
        ground=owner == 0, others=owner > 1,
    )  # fmt: skip


def edited(pipeline: Pipeline, task: Task, seed: int, **changes: Any) -> Reworded:
    """The task done by the pipeline's own sampler. changes: `Sampler` fields of another value."""
    (name,) = pipeline.reads
    sampler = replace(pipeline.sampler, **changes)
    return reword(pipeline, task.x, {name: task.before}, {name: task.after}, sampler=sampler, seed=seed)


def graded(task: Task, images: Float[Tensor, "b 3 h w"]) -> dict[str, float]:
    """edit_accuracy: share of edited digits that the judge reads as the new class; other_accuracy: share of untouched
    digits read right; ground_psnr, other_psnr: dB over the pixels of the ground and of the untouched digits."""
    reads = reader("score").judge(images.clamp(0, 1), task.wanted)
    return {
        "edit_accuracy": float(reads.same_class[:, 0].float().mean()),
        "other_accuracy": float(reads.same_class[:, 1:][reads.present[:, 1:]].float().mean()),
        "ground_psnr": psnr(images, task.x, task.ground),
        "other_psnr": psnr(images, task.x, task.others),
    }


def psnr(made: Float[Tensor, "b c h w"], wanted: Float[Tensor, "b c h w"], where: Bool[Tensor, "b 1 h w"]) -> float:
    """10 log10(1 / mean squared error) in dB over the pixels in `where`; 99 at most (equal)."""
    error = ((made - wanted) ** 2)[where.expand_as(wanted)].mean()
    return min(99.0, -10 * math.log10(max(float(error), 1e-12)))


@register("score/rewording")
@dataclass(frozen=True, kw_only=True)
class RewordingScore:
    """How the pipeline's sampler rewords n held-out scenes (`graded`)."""

    gives: ClassVar[tuple[str, ...]] = ("edit_accuracy", "other_accuracy", "ground_psnr", "other_psnr")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        task = task_of(data, n, seed)
        return graded(task, edited(pipeline, task, seed).images)


@register("score/inversion")
@dataclass(frozen=True, kw_only=True)
class InversionScore:
    """inversion_mse: mean squared error, in the data's range, of n held-out images inverted under their own captions and
    sampled back without guidance or control; each way takes the sampler's steps."""

    gives: ClassVar[tuple[str, ...]] = ("inversion_mse",)

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        task = task_of(data, n, seed)
        return {"inversion_mse": inversion_error(pipeline, task, pipeline.sampler, seed)}


@torch.no_grad()
def inversion_error(pipeline: Pipeline, task: Task, sampler: Sampler, seed: int) -> float:
    """See `InversionScore`."""
    plain = replace(sampler, guidance=Guidance(), caches=(), corrections=())
    (name,) = pipeline.reads
    cond = pipeline._conditions({name: task.before}, len(task.x))
    state, step = pipeline.coder.encode(task.x), Step(seed=seed, sample=torch.arange(len(task.x)))
    pipeline.model.eval()
    up = Trajectory.of(plain.invert(pipeline.model, pipeline.process, x=state, step=step, cond=cond))
    shape = tuple(state.shape[1:])
    back = plain.sample(pipeline.model, pipeline.process, shape=shape, step=step, cond=cond, start=up.start)
    return float(((pipeline.decode(back) - task.x) ** 2).mean())

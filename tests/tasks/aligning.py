"""A small pipeline of digits with every weight filled, and passes of it, for tests of objectives."""

from __future__ import annotations

from dataclasses import replace

import torch
from small_models import CONFIG, pipeline

from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.models.layers.ends import Patches
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.diffusion import Diffusion

SIX = replace(CONFIG, input=Patches(size=(8, 8), patch=2), blocks=CONFIG.blocks[:1] * 6)
BATCH = Digits().open("train").batch(torch.arange(4))


def at(index: int = 0, total: int = 10, seed: int = 5) -> Step:
    return Step(seed=seed, sample=torch.arange(4), index=index, total=total)


def aligned(objective, needs=None, plan=None, **task):
    """The diffusion task of the small pipeline with one objective."""
    own = pipeline(config=replace(SIX, plan=plan))
    return Diffusion(objectives=(objective,), **task).build(own, needs or {})


def seen_by(task, step=None, keep=None):
    """What an objective is given in one pass of the task."""
    from frisket.tasks.objectives.base import Pass

    step = step or at()
    corrupted, cond = task.corrupt(BATCH, step)
    kept = task.keep(corrupted, task.chooses, step) if keep is None else keep
    output, taps = task.predict(corrupted, cond, step, kept)
    return Pass(BATCH, step, task.process, task.codec, task.model, cond, corrupted, output, taps)


class Told(torch.nn.Module):
    """Features that a test sets."""

    def __init__(self, features):
        super().__init__()
        self.told = features

    def forward(self, x):
        return self.told.expand(len(x), -1, -1) if len(self.told) == 1 else self.told[: len(x)]


class ToldTarget:
    """A target that gives them."""

    def __init__(self, features):
        self.features = features

    def build(self, pipeline: Pipeline, needs):
        return Told(self.features)


class ToldWhole(Told):
    """Features that a test sets, those of the whole last; as a target it gives itself."""

    def forward(self, x):
        return self.told[: len(x), :-1]

    def whole(self, x):
        return self.told[: len(x)]

    def build(self, pipeline, needs):
        return self

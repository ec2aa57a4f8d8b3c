"""Models that remember what they were given, and tasks of them, for tests of what a training step does."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from frisket.codecs.pixels import Pixels
from frisket.core.condition import Output
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.models.tokens import Tags
from frisket.processes.gaussian import Gaussian
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion

INFO = Info(kind="image", shape=(1, 4, 4), classes=("a", "b", "c"))


class Recorder(nn.Module):
    """Predicts zero times a weight and remembers what it was given; may report a loss of its own."""

    def __init__(self, conditions=(), losses=None):
        super().__init__()
        self.conditions, self.losses, self.given = conditions, losses or {}, []
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x_t, t=None, cond=None, keep=None):
        self.given.append((x_t, t, cond))
        return Output(x_t * 0 * self.weight, losses=self.losses)


class Absent:
    """A codec that keeps x as it is and has no config of its own."""

    def build(self):
        return self

    def encode(self, x, draw=None):
        return x if draw is None else x + draw

    def decode(self, state):
        return state


def rows(n=6, start=0, **more):
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(start))
    return {"x": x, "label": torch.arange(n) % 3, **more}


def at(n=6, start=0, index=3):
    return Step(seed=5, sample=torch.arange(start, start + n), index=index)


def task_of(model, config=None, process=None, codec=None):
    pipeline = Pipeline(model, process or Gaussian(), codec or Pixels(), Sampler(), INFO)
    return (config or Diffusion()).build(pipeline)


class Spanned(Recorder):
    """A recorder whose config has a token plan over 4 tokens."""

    def __init__(self, plan):
        super().__init__()
        self.config, self.kept = SimpleNamespace(plan=plan), []

    def tags(self, x):
        return Tags(n=4, extent=(2, 2))

    def forward(self, x_t, t=None, cond=None, keep=None):
        self.kept.append(keep)
        return super().forward(x_t, t, cond)

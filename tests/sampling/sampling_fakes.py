"""Denoisers with closed forms: a gaussian data distribution, and exact conditionals of a small joint distribution."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from frisket.codecs.pixels import Pixels
from frisket.core.condition import Condition, Output
from frisket.core.random import hash_text
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.predictions import target
from frisket.sampling.base import Start
from frisket.sampling.grids import Uniform
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler


class GaussianDenoiser:
    """The exact prediction for data N(mean, std^2) in every coordinate; a label shifts the mean."""

    def __init__(self, process: Gaussian, mean: float = 1.5, std: float = 0.5):
        self.process, self.mean, self.std = process, mean, std
        self.rows = 0

    def __call__(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Output:
        """t is the process's own: use `model-time/unit`."""
        self.rows += len(x)
        mean = torch.full_like(x, self.mean)
        if cond is not None:
            shift = cond.values["label"].to(x.dtype).masked_fill(cond.dropped("label"), 0)
            mean = mean + shift.reshape(-1, *[1] * (x.ndim - 1))
        level = self.process.level(t.to(torch.float64), x)
        total = level.alpha**2 * self.std**2 + level.sigma**2
        x0 = mean + level.alpha * self.std**2 / total * (x - level.alpha * mean)
        noise = level.sigma / total * (x - level.alpha * mean)
        return Output(target(self.process.prediction, x0, noise, level))


def flow_solution(process: Gaussian, x: Tensor, t: float, s: float, mean: float = 1.5, std: float = 0.5) -> Tensor:
    """Where the probability flow takes x from t to s: the same quantile of the state's distribution."""
    at = [process.level(torch.full((len(x),), v, dtype=torch.float64), x) for v in (t, s)]
    spread = [torch.sqrt(a.alpha**2 * std**2 + a.sigma**2) for a in at]
    return at[1].alpha * mean + spread[1] * (x - at[0].alpha * mean) / spread[0]


def flow_error(process: Gaussian, update, n: int, grid=None, before_last: bool = False) -> float:
    """Largest distance from the exact flow after n moves (or before the last of them)."""
    x = torch.linspace(-2, 2, 16, dtype=torch.float64)[:, None] * process.path.scale()
    grid = grid or Uniform()
    first = float(grid.times(n, process)[0])
    run = Sampler(steps=n, update=update, grid=grid).run(
        GaussianDenoiser(process), process, shape=(1,), step=steps(16), start=Start(x=x, t=first)
    )
    shots = list(run)
    shot = shots[-2] if before_last else shots[-1]
    return float((shot.x - flow_solution(process, x, first, shot.t)).abs().max())


def order_of(process: Gaussian, update, n: int = 32, grid=None, before_last: bool = False) -> float:
    """The order of convergence: log2 of what doubling the moves divides the error by."""
    errors = [flow_error(process, update, k, grid, before_last) for k in (n, 2 * n)]
    return math.log2(errors[0] / errors[1])


class Joint:
    """The exact conditionals p(x_n | visible) of a joint distribution over n ids of k symbols."""

    def __init__(self, process: Masked, n: int = 3, k: int = 3, seed: str = "joint"):
        self.process, self.n, self.k = process, n, k
        self.states = torch.tensor(list(itertools.product(range(k), repeat=n)))
        step = Step(seed=hash_text(seed), sample=torch.zeros(1, dtype=torch.int64))
        self.p = torch.softmax(1.5 * step.draw("joint", (len(self.states),))[0], dim=0)
        self.rows = 0

    def __call__(self, x: Tensor, t: Tensor, cond: Condition | None = None) -> Output:
        self.rows += len(x)
        shape = x.shape
        x = x.flatten(1)
        fits = ((x[:, None] == self.states) | (x[:, None] == self.process.mask_id)).all(-1)
        weights = fits * self.p
        one_hot = torch.nn.functional.one_hot(self.states, self.k).to(torch.float64)
        p = torch.einsum("bs,snk->bnk", weights, one_hot)
        p = p / p.sum(-1, keepdim=True)
        return Output(torch.log(p.clamp(min=1e-30)).reshape(*shape, self.k))

    def index(self, x: Tensor) -> Tensor:
        powers = self.k ** torch.arange(self.n - 1, -1, -1)
        return (x.flatten(1) * powers).sum(1)


def steps(n: int, seed: int = 0, first: int = 0) -> Step:
    return Step(seed=seed, sample=torch.arange(first, first + n))


def tiny_pipeline(seed: int = 0, size: int = 8, channels: int = 1, classes: int = 4, **sampler) -> Pipeline:
    """A small transformer with every weight moved away from its start, so that conditions matter."""
    info = Info(kind="image", shape=(channels, size, size), classes=tuple(f"c{i}" for i in range(classes)))
    codec, process = Pixels(), Gaussian()
    config = Transformer(width=16, heads=2).with_depth(1)
    config = config.fit(codec.build().spec(info), process.outputs(channels), {"label": classes})
    model = config.build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return Pipeline(model, process, codec, Sampler(**{"steps": 4} | sampler), info)

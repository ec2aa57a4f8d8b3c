"""Denoisers with closed forms: a gaussian data distribution, and exact conditionals of a small joint distribution."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from frisket.core.condition import Condition, Output
from frisket.core.random import hash_text
from frisket.core.step import Step
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked


class GaussianDenoiser:
    """The exact velocity (or any prediction of the process) for data N(mean, std^2) in every coordinate."""

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
        return Output(level.d_alpha * x0 + level.d_sigma * noise)


def flow_solution(process: Gaussian, x: Tensor, mean: float, std: float) -> Tensor:
    """Where the probability flow takes x from t = 1: the same quantile of the data distribution."""
    level = process.level(torch.ones(len(x), dtype=torch.float64), x)
    total = torch.sqrt(level.alpha**2 * std**2 + level.sigma**2)
    return mean + std * (x - level.alpha * mean) / total


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

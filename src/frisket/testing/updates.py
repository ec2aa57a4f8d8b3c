"""Updates (solvers and decoders): they land where a perfect model points, row by row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frisket.core.condition import Condition, Output
from frisket.testing.claims import STEP, claim, example_state, finite, same, untouched_generator

ROWS = torch.tensor([3, 0])


def check_update(
    part: Any, *, vocabulary: int | None = None, steps: int = 6, grid: Any = None, tolerance: float = 1e-3
) -> None:
    """The promises of `sampling.base.Update`: a solver, or with a `vocabulary` a decoder.

    A model that always points at the same state must be followed to it exactly; a sample may depend neither on its
    batch nor on the global generator; a decoder leaves nothing hidden. grid: the time grid that the update asks for,
    if any.
    """
    from frisket.processes.gaussian import Gaussian
    from frisket.processes.masked import Masked
    from frisket.sampling.sampler import Sampler

    shape = (2, 4, 4) if vocabulary is None else (12,)
    process = Gaussian() if vocabulary is None else Masked(vocabulary=vocabulary)
    aim = example_state(shape, vocabulary)
    sampler = Sampler(steps=steps, update=part) if grid is None else Sampler(steps=steps, update=part, grid=grid)

    def run(rows: Tensor, perfect: bool = True) -> Tensor:
        model = _Pointing(vocabulary) if perfect else _Guessing(vocabulary)
        cond = Condition.of(aim=aim[rows])
        return sampler.sample(model, process, shape=shape, step=STEP.rows(rows), cond=cond)

    every = torch.arange(len(aim))
    out = untouched_generator(part, lambda: run(every))
    claim(out.shape == aim.shape and finite(out), part, "makes samples of another shape, or not finite")
    gap = (out - aim).abs().max() if vocabulary is None else (out != aim).sum()
    claim(gap <= (tolerance if vocabulary is None else 0), part, f"misses what a perfect model points at by {gap:.3g}")
    guess = run(every, perfect=False)
    claim(same(run(every, perfect=False), guess), part, "two equal runs differ")
    claim(same(run(ROWS, perfect=False), guess[ROWS], 1e-4), part, "the sample of a row depends on its batch")
    if vocabulary is not None:
        claim(((guess >= 0) & (guess < vocabulary)).all(), part, "ends with hidden elements")


class _Pointing:
    """Predicts the state in its condition, whatever it sees: the velocity towards it, or certainty of its symbols."""

    def __init__(self, vocabulary: int | None):
        self.vocabulary = vocabulary

    def __call__(self, x: Tensor, t: Tensor, cond: Condition | None = None, keep: Any = None) -> Output:
        assert cond is not None
        aim = cond.values["aim"]
        if self.vocabulary is not None:
            return Output(40.0 * torch.nn.functional.one_hot(aim, self.vocabulary).to(torch.float32))
        away = t.reshape(-1, *[1] * (x.ndim - 1)).clamp(min=1e-6).to(x.dtype)
        return Output((x - aim) / away)


class _Guessing:
    """A smooth function of state and time, row by row."""

    def __init__(self, vocabulary: int | None):
        self.vocabulary = vocabulary

    def __call__(self, x: Tensor, t: Tensor, cond: Condition | None = None, keep: Any = None) -> Output:
        time = t.reshape(-1, *[1] * (x.ndim - 1)).to(torch.float32)
        if self.vocabulary is None:
            return Output(torch.tanh(x) + time)
        place = torch.arange(x.shape[-1], dtype=torch.float32)
        angle = (x.to(torch.float32) + place + time)[..., None] * torch.arange(1, self.vocabulary + 1)
        return Output(torch.sin(angle))

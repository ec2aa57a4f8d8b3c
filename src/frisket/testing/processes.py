"""Processes: ends, known and valid elements, independence of the batch, estimates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frisket.core.condition import Output
from frisket.processes.base import built
from frisket.processes.known import Known
from frisket.testing.claims import STEP, claim, example_state, example_values, finite, same, untouched_generator

ROWS = torch.tensor([2, 0])


def check_process(part: Any, *, shape: tuple[int, ...] = (3, 4, 4), vocabulary: int | None = None) -> None:
    """The promises of `processes.base.Process`, for continuous states of `shape` (channels first) or, with a
    `vocabulary`, grids of ids of `shape`."""
    if vocabulary is not None and hasattr(part, "fit"):
        part = part.fit(vocabulary)
    part = built(part)
    x0 = example_state(shape, vocabulary)
    noise = untouched_generator(part, lambda: part.noise(shape, STEP))
    claim(noise.shape == x0.shape, part, f"noise has the shape {tuple(noise.shape)}, the state {tuple(x0.shape)}")
    claim(same(part.noise(shape, STEP.rows(ROWS)), noise[ROWS]), part, "noise of a row depends on its batch")
    _check_times(part)
    _check_ends(part, x0, noise, vocabulary)
    _check_known(part, x0, noise, vocabulary)
    _check_rows(part, x0, noise, vocabulary)
    _check_estimate(part, x0, noise, vocabulary)


def _pred(part: Any, x0: Tensor, vocabulary: int | None) -> Tensor:
    """A made-up prediction in the shape that the process asks for."""
    if vocabulary is not None:
        return example_values("pred", (*x0.shape[1:], part.outputs(vocabulary)))
    return example_values("pred", (part.outputs(x0.shape[1]), *x0.shape[2:]))


def _check_times(part: Any) -> None:
    u = torch.linspace(0, 1, 33, dtype=torch.float64)[:-1]
    t = part.times(u)
    claim(t.shape == u.shape and finite(t), part, "times of (b,) uniform numbers are not (b,) finite numbers")
    claim(((t >= 0) & (t <= 1)).all(), part, f"times leave [0, 1]: {t.min():.3g} .. {t.max():.3g}")
    claim(part.model_time(t).shape == t.shape, part, "model_time changes the shape of t")


def _check_ends(part: Any, x0: Tensor, noise: Tensor, vocabulary: int | None) -> None:
    b = len(x0)
    before = x0.clone(), noise.clone()
    clean = part.corrupt(x0, torch.zeros(b), noise).x_t
    full = part.corrupt(x0, torch.ones(b), noise).x_t
    prior = part.prior(noise)
    claim(same(x0, before[0]) and same(noise, before[1]), part, "corrupt changes its inputs in place")
    claim(clean.shape == x0.shape and clean.dtype == x0.dtype, part, "corrupt changes the state's shape or dtype")
    if vocabulary is not None:
        claim(same(clean, x0), part, "t = 0 is not the data")
        claim(same(full, prior), part, "t = 1 is not the prior, where everything is hidden")
        return
    claim((clean - x0).abs().mean() < 0.05, part, f"t = 0 is not the data: off by {(clean - x0).abs().mean():.3g}")
    gap = (full - prior).abs().mean() / prior.abs().mean()
    claim(gap < 0.15, part, f"t = 1 is not the prior: off by {gap:.3g} of its size")


def _check_known(part: Any, x0: Tensor, noise: Tensor, vocabulary: int | None) -> None:
    where = example_values("where", tuple(x0.shape[1:])) > 0
    where = where if vocabulary is not None else where[:, :1]
    t = torch.full((len(x0),), 0.7)
    corrupted = part.corrupt(x0, t, noise, Known(values=x0, where=where))
    given = where.expand_as(x0)
    claim(torch.equal(corrupted.x_t[given], x0[given]), part, "corrupt does not keep known elements")
    pred = _pred(part, x0, vocabulary)
    spread = where[..., None] if vocabulary is not None else where
    other = torch.where(spread, pred + 1, pred)
    losses = [part.loss(Output(p), corrupted) for p in (pred, other)]
    for name in losses[0]:
        claim(same(losses[0][name], losses[1][name], 1e-5), part, f"loss {name!r} counts known elements")
    valid = torch.zeros(len(x0), *(x0.shape[1:] if vocabulary is not None else x0.shape[2:]), dtype=torch.bool)
    for name, value in part.loss(Output(pred), part.corrupt(x0, t, noise), valid).items():
        claim((value == 0).all(), part, f"loss {name!r} counts elements that are not valid")


def _check_rows(part: Any, x0: Tensor, noise: Tensor, vocabulary: int | None) -> None:
    t = torch.tensor([0.2, 0.5, 0.9, 0.4])
    pred = _pred(part, x0, vocabulary).requires_grad_()
    whole = part.corrupt(x0, t, noise)
    some = part.corrupt(x0[ROWS], t[ROWS], noise[ROWS])
    claim(same(some.x_t, whole.x_t[ROWS]), part, "corrupting a row depends on its batch")
    losses = part.loss(Output(pred), whole)
    claim(losses, part, "loss has no terms")
    for name, value in losses.items():
        claim(value.shape == t.shape and finite(value), part, f"loss {name!r} is not one finite number a sample")
        row = part.loss(Output(pred[ROWS]), some)[name]
        claim(same(row, value[ROWS], 1e-5), part, f"loss {name!r} of a row depends on its batch")
    (grad,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), pred)
    claim(finite(grad) and grad.abs().sum() > 0, part, "the loss gives the prediction no finite gradient")
    still = part.renoise(whole.x_t, t, t, noise)
    claim(same(still, whole.x_t, 1e-4), part, "renoise from t to t changes the state")


def _check_estimate(part: Any, x0: Tensor, noise: Tensor, vocabulary: int | None) -> None:
    t = torch.full((len(x0),), 0.6)
    x_t = part.corrupt(x0, t, noise).x_t
    estimate = part.estimate(Output(_pred(part, x0, vocabulary)), x_t, t)
    if vocabulary is None:
        claim(estimate.x0 is not None and estimate.x0.shape == x0.shape, part, "estimate.x0 is not shaped as the state")
        return
    logits = estimate.logits
    assert logits is not None, "a masked process estimates logits"
    claim(logits.shape == (*x0.shape, vocabulary), part, "estimate.logits is not (b, *grid, k)")
    total = logits.exp().sum(-1)
    claim(same(total, torch.ones_like(total), 1e-3), part, "estimate.logits are not normalised log probabilities")
    shown = x_t == x0
    claim((logits.argmax(-1) == x0)[shown].all(), part, "a visible element's estimate is not its own symbol")

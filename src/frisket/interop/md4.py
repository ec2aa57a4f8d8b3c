"""Equality with official MD4 and GenMD4, on stored arrays: schedules, losses, and the estimate of the powers' gradient.

The arrays lie in `tests/golden/md4.npz` (its README names the classes that made them); they are numbers, not code.
Official losses are sums in nats a sample, official gradients those of theta.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.interop.golden import GOLDEN
from frisket.processes.base import Corrupted
from frisket.processes.masked import Masked
from frisket.processes.masked_by_symbol import LearnedMasking, MaskedBySymbol
from frisket.processes.schedules import Cosine, Linear, Polynomial, Shrunk

SCHEDULES = {"linear": Linear(), "cosine": Cosine(), "poly3": Polynomial(power=3.0)}


def losses_difference(folder: Path = GOLDEN) -> float:
    """The largest difference, relative to the largest number of each array (above 1)."""
    path = folder / "md4.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        arrays = {key: torch.from_numpy(held[key]) for key in held.files}
    return max(*_given(arrays), *_learnt(arrays))


def _given(held: dict[str, Tensor]) -> list[float]:
    """MD4: alpha, alpha', and the continuous-time loss under each schedule."""
    out, n = [], held["x0"].shape[1]
    for name, schedule in SCHEDULES.items():
        shrunk = Shrunk(schedule=schedule)
        process = Masked(vocabulary=held["logits"].shape[-1], schedule=shrunk)
        loss = process.loss(Output(held["logits"]), _state(held, "1"))["denoise"] * n
        out += [
            _gap(1 - shrunk.hidden(held["t"]), held[f"{name}/alpha"]),
            _gap(-shrunk.rate(held["t"]), held[f"{name}/dalpha"]),
            _gap(loss, held[f"{name}/loss"]),
        ]
    return out


def _learnt(held: dict[str, Tensor]) -> list[float]:
    """GenMD4: both terms, log q of two noisings, and the gradient of the whole surrogate."""
    n = held["x0"].shape[1]
    process = MaskedBySymbol(vocabulary=held["logits"].shape[-1]).build()
    with torch.no_grad():
        process.theta.copy_(held["theta"])
    first, second = (_terms(process, held, number) for number in ("1", "2"))
    chance = first[2] - second[2]
    surrogate = (first[0] + second[0]) / 2 + 0.5 * (first[0] - second[0]).detach() * chance + first[1]
    (gradient,) = torch.autograd.grad(surrogate.mean(), process.theta)
    return [
        _gap(first[0], held["gen/loss1"]),
        _gap(second[0], held["gen/loss2"]),
        _gap(first[1] / n, held["gen/recon"] / n),
        _gap((first[0] - second[0]) * chance / 2, held["gen/reinforce"]),
        _gap(gradient, held["gen/gradient"]),
    ]


def _terms(process: LearnedMasking, held: dict[str, Tensor], number: str) -> tuple[Tensor, Tensor, Tensor]:
    state, n = _state(held, number), held["x0"].shape[1]
    terms = process.loss(Output(held["logits"]), state)
    return terms["denoise"] * n, terms["reconstruction"] * n, process.log_chance(state)


def _state(held: dict[str, Tensor], number: str) -> Corrupted:
    x_t, t = held[f"x_t{number}"], held["t"]
    hidden = x_t == held["logits"].shape[-1]
    return Corrupted(x_t=x_t, x0=held["x0"], noise=torch.zeros(x_t.shape), t=t, local=t, hidden=hidden)


def _gap(ours: Tensor, theirs: Tensor) -> float:
    theirs = theirs.to(torch.float64)
    return float((ours.detach().to(torch.float64) - theirs).abs().max() / theirs.abs().max().clamp(min=1))

"""Held-out process loss on a fixed grid of (t, noise): the default measure of any denoiser or mask predictor.

Items, times and noise are the same for every model asked, so two arms differ by nothing but their weights, and their
losses an item may be subtracted. Losses are the process's own, weights included: compare models only under one process.
Shapes: b batch, n items, k times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from frisket.codecs.base import Codec
from frisket.core.condition import Condition
from frisket.core.errors import check
from frisket.core.state import main, moved, shape_of
from frisket.core.step import Step, use_step
from frisket.data.base import Batch, Source
from frisket.evaluation.intervals import Interval, bootstrap_mean
from frisket.processes.base import Process
from frisket.processes.known import Known
from frisket.processes.makers import Maker
from frisket.sampling.encoded import encoded


@dataclass(frozen=True, kw_only=True)
class HeldoutLoss:
    """times: (k,). each: float64 (n, k), the loss of every item at every time. mean: over all, resampled by item.
    curve: one interval a time."""

    times: tuple[float, ...]
    each: Float[np.ndarray, "n k"]
    mean: Interval
    curve: tuple[Interval, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON data, without the losses an item."""
        return {
            "n": len(self.each), "times": list(self.times), **self.mean.as_dict(),
            "curve": [i.as_dict() for i in self.curve],
        }  # fmt: skip


def heldout_loss(
    model: Any, process: Process, codec: Codec, source: Source, *, n: int = 256, times: int | Sequence[float] = 16,
    seed: int = 0, conditions: Sequence[str] | None = None, batch: int = 64, resamples: int = 200, device: str = "cpu",
    known: Maker | None = None,
) -> HeldoutLoss:  # fmt: skip
    """The loss of `model` on the first `n` items of `source`.

    times: how many midpoints of equal parts of [0, 1], or the times themselves. conditions: names of batch entries that
    the model is given; None for all that it reads. known: what is given and clean, of an item the same at all times. An
    entry `valid` of the batch limits the loss. The model's mode is restored; independent of `batch`. Raises
    `FrisketError` on times outside (0, 1], or on more items than the source has.
    """
    grid = midpoints(times) if isinstance(times, int) else tuple(float(t) for t in times)
    check(len(grid) > 0 and all(0 < t <= 1 for t in grid), "times", grid, "one or more numbers in (0, 1]")
    check(1 <= n <= (source.info.size or n), "n", n, f"between 1 and {source.info.size}, the items there are")
    conditions = reads(model) if conditions is None else conditions
    was_training = model.training
    model.eval()
    try:
        rows = []
        for i in range(0, n, batch):
            ids = torch.arange(i, min(i + batch, n))
            rows.append(_losses(model, process, codec, source.batch(ids), ids, grid, seed, conditions, device, known))
    finally:
        model.train(was_training)
    each = np.concatenate(rows)
    return HeldoutLoss(
        times=grid, each=each, mean=bootstrap_mean(each.mean(axis=1), seed=seed, resamples=resamples),
        curve=tuple(bootstrap_mean(each[:, k], seed=seed, resamples=resamples) for k in range(len(grid))),
    )  # fmt: skip


def midpoints(k: int) -> tuple[float, ...]:
    """The middles of k equal parts of [0, 1]."""
    check(k >= 1, "times", k, "at least 1")
    return tuple((i + 0.5) / k for i in range(k))


@torch.no_grad()
def _losses(
    model: Any, process: Process, codec: Codec, batch: Batch, ids: Tensor, grid: tuple[float, ...], seed: int,
    conditions: Sequence[str], device: str, maker: Maker | None,
) -> Float[np.ndarray, "b k"]:  # fmt: skip
    x0 = codec.encode(_moved(batch["x"], device))
    valid = batch["valid"].to(device) if "valid" in batch else None
    optional = getattr(getattr(model, "doors", None), "optional", ())
    given = [name for name in conditions if name in batch or name not in optional]
    cond = encoded(condition(batch, given, device), model, codec)
    known = None
    if maker is not None:
        at = Step(seed=seed, sample=ids.to(device), run="heldout")
        x = main(x0)
        known = Known.within(x0, maker.known(x, at, x.is_floating_point(), batch.get("instances")))
    columns = []
    for index, time in enumerate(grid):
        step = Step(seed=seed, sample=ids.to(device), index=index, total=len(grid), run="heldout")
        t = torch.full((len(ids),), time, device=device)
        corrupted = process.corrupt(x0, t, moved(process.noise(shape_of(x0), step), device), known)
        with use_step(step):
            output = model(corrupted.x_t, process.model_time(corrupted.local), cond)
        terms = process.loss(output, corrupted, valid)
        columns.append(torch.stack(list(terms.values())).sum(0))
    return torch.stack(columns, dim=1).double().cpu().numpy()


def condition(batch: Batch, names: Sequence[str], device: str = "cpu") -> Condition | None:
    """The batch entries `names` as a condition, None without names. Raises `FrisketError` on one that is missing."""
    for name in names:
        check(name in batch, "conditions", name, f"one of {sorted(batch)}")
    return Condition.of(**{name: batch[name].to(device) for name in names}) if names else None


def reads(model: Any) -> tuple[str, ...]:
    """The names of the conditions that a model reads through its doors; () if it has none."""
    return tuple(getattr(getattr(model, "doors", None), "ways", ()))


def _moved(x: Any, device: str) -> Any:
    return x.to(device) if isinstance(x, Tensor) else x

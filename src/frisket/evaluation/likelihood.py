"""Perplexity and bits per dimension, from a process's own bound and from nothing else.

A training loss is not a likelihood (it is weighted, clipped in time or summed over marginals), so a process without
`nelbo` is refused. The floor beside the value is what the symbol frequencies of the training split reach (add-one): a
model above it has learnt no context.
Shapes: b batch, n items, e elements an item, k symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frisket.codecs.base import Codec
from frisket.core.errors import FrisketError, check
from frisket.core.step import Step, use_step
from frisket.data.base import Source
from frisket.evaluation.heldout import condition, reads
from frisket.evaluation.intervals import bootstrap
from frisket.processes.base import Process


def likelihood(
    model: Any, process: Process, codec: Codec, source: Source, *, n: int = 256, draws: int = 16, seed: int = 0,
    train: Source | None = None, elements: int | None = None, conditions: Sequence[str] | None = None, batch: int = 64,
    resamples: int = 200,
) -> dict[str, Any]:  # fmt: skip
    """The bound on the first `n` items of `source`.

    Returns {"n", "elements", "draws", "nats", "bits", "perplexity"}: the last three are {"value", "low", "high",
    "floor", "unit", "better"} a whole item (nats) and an element (bits, perplexity), upper bounds of the true ones.
    draws: forwards an item. train: gives the floor (None without it). elements: how many dimensions an item counts as,
    when not one for each id of its state, or for each symbol where the codec spells it in several ids. Raises
    `FrisketError` when the process has no bound.
    """
    if not hasattr(process, "nelbo"):
        raise FrisketError(f"{type(process).__name__} states no bound (nelbo), so no perplexity or bits can be given")
    check(1 <= n <= (source.info.size or n), "n", n, f"between 1 and {source.info.size}, the items there are")
    conditions = reads(model) if conditions is None else conditions
    was_training = model.training
    model.eval()
    nats, counts = [], []
    try:
        for i in range(0, n, batch):
            ids = torch.arange(i, min(i + batch, n))
            a, b = _bound(model, process, codec, source.batch(ids), ids, draws, seed, conditions)
            nats.append(a)
            counts.append(b)
    finally:
        model.train(was_training)
    total, count = np.concatenate(nats), np.concatenate(counts)
    count = count if elements is None else np.full(len(total), elements)
    base = None if train is None else frequency_nats(process, codec, train, source, n) * total.size
    return {
        "n": n, "elements": float(count.mean()), "draws": draws,
        "nats": _entry(lambda i: float(total[i].mean()), n, seed, resamples, base and base / n, "nats an item"),
        "bits": _entry(lambda i: float(total[i].sum() / count[i].sum() / math.log(2)), n, seed, resamples,
                       base and base / count.sum() / math.log(2), "bits an element"),
        "perplexity": _entry(lambda i: math.exp(total[i].sum() / count[i].sum()), n, seed, resamples,
                             base and math.exp(base / count.sum()), "effective symbols an element"),
    }  # fmt: skip


def frequency_nats(process: Any, codec: Codec, train: Source, test: Source, n: int, most: int = 4096) -> float:
    """Nats an item of the first `n` test items under the symbol frequencies of up to `most` training items, add-one."""
    whole: Any = getattr(codec, "inner", codec) if pieces_of(codec) > 1 else codec  # symbols, not their digits
    k = whole.spec(train.info).vocabulary if whole is not codec else process.vocabulary
    ids = whole.encode(train.batch(torch.arange(min(train.info.size or most, most)))["x"]).flatten()
    logp = torch.log((torch.bincount(ids, minlength=k).double() + 1) / (len(ids) + k))
    batch = test.batch(torch.arange(n))
    x0 = whole.encode(batch["x"])
    nats = -logp[x0].reshape(n, -1)
    return float((nats * _counted(batch, x0).reshape(n, -1)).sum(1).mean())


@torch.no_grad()
def _bound(
    model: Any, process: Any, codec: Codec, batch: dict, ids: Tensor, draws: int, seed: int, conditions: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    x0 = codec.encode(batch["x"])
    cond = condition(batch, conditions)
    step = Step(seed=seed, sample=ids, run="likelihood")

    def predict(x_t: Tensor, t: Tensor):
        with use_step(step):
            return model(x_t, process.model_time(t), cond)

    nats = process.nelbo(predict, x0, step, draws=draws, valid=batch.get("valid"))
    return nats.double().numpy(), (_counted(batch, x0).flatten(1).sum(1) / pieces_of(codec)).numpy()


def pieces_of(codec: Any) -> int:
    """How many ids of a codec's state spell one symbol."""
    return getattr(codec, "pieces", 1)


def _counted(batch: dict, x0: Tensor) -> Tensor:
    """float64, 1 for each element that the bound counts."""
    return batch["valid"].expand_as(x0).double() if "valid" in batch else torch.ones_like(x0, dtype=torch.float64)


def _entry(statistic, n: int, seed: int, resamples: int, floor: float | None, unit: str) -> dict[str, Any]:
    interval = bootstrap(statistic, (n,), seed=seed, resamples=resamples, low=0.0)
    return {**interval.as_dict(), "floor": None if floor is None else float(floor), "unit": unit, "better": "less"}

"""Data sets: random access is a function of the ids; streams resume; splits share nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from frisket.data.base import Batch, Info
from frisket.testing.claims import claim, finite, refuses, untouched_generator


def check_data(part: Any, *, n: int = 6, splits: int = 64) -> None:
    """The promises of `data.base` on `n` items of a set. splits: how many items of train and test must all
    differ; 0 for a set so small that its items recur by chance."""
    refuses(part, "opens a split that is neither 'train' nor 'test'", lambda: part.open("nonsense"))
    source = untouched_generator(part, lambda: part.open("train"))
    claim(isinstance(source.info, Info) and source.info.digest, part, "has no info with a content digest")
    claim(part.open("train").info == source.info, part, "opens with another info the second time")
    if hasattr(source, "batch"):
        _check_source(part, source, n)
    else:
        _check_stream(part, source, n)
    if splits and hasattr(source, "batch"):
        train, test = (_prints(part.open(split), splits) for split in ("train", "test"))
        claim(not train & test, part, f"{len(train & test)} of {splits} items are in both splits")


def _check_source(part: Any, source: Any, n: int) -> None:
    size = source.info.size
    n = n if size is None else min(n, size)
    ids = torch.arange(n)
    batch = untouched_generator(part, lambda: source.batch(ids))
    _check_batch(part, source.info, batch, n)
    claim(torch.equal(batch["id"], ids), part, "batch['id'] is not the ids asked for")
    order = ids.flip(0)
    _claim_equal(part, source.batch(order), _take(batch, order), "an item depends on the order of its batch")
    _claim_equal(part, source.batch(ids[n // 2 :]), _take(batch, ids[n // 2 :]), "an item depends on its batch")
    _claim_equal(part, part.open("train").batch(ids), batch, "an item differs when the set is opened again")


def _check_stream(part: Any, source: Any, n: int) -> None:
    source.read(n)
    state = source.state()
    later = source.read(n)
    _check_batch(part, source.info, later, n)
    again = part.open("train")
    again.restore(state)
    _claim_equal(part, again.read(n), later, "a stream restored from its state reads something else")


def _check_batch(part: Any, info: Info, batch: Batch, n: int) -> None:
    claim("x" in batch and "id" in batch, part, f"a batch needs 'x' and 'id', has {sorted(batch)}")
    for name, value in batch.items():
        claim(not hasattr(value, "__len__") or len(value) == n, part, f"batch[{name!r}] has not one entry an item")
    x = batch["x"]
    if isinstance(x, Tensor) and info.shape:
        claim(tuple(x.shape[1:]) == tuple(info.shape), part, f"x is {tuple(x.shape[1:])}, info says {info.shape}")
    if info.kind in ("image", "video") and isinstance(x, Tensor):
        inside = x.dtype == torch.float32 and finite(x) and bool(((x >= 0) & (x <= 1)).all())
        claim(inside, part, "images must be float32 in [0, 1]")
    if info.classes and "label" in batch:
        label = batch["label"]
        claim(((label >= 0) & (label < len(info.classes))).all(), part, "a label is outside the classes of info")


def _take(batch: Batch, ids: Tensor) -> Batch:
    def rows(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[ids]
        return [value[i] for i in ids.tolist()] if isinstance(value, list | tuple) else value

    return {name: rows(value) for name, value in batch.items()}


def _claim_equal(part: Any, got: Batch, wanted: Batch, promise: str) -> None:
    claim(got.keys() == wanted.keys(), part, promise)
    for name, value in got.items():
        other = wanted[name]
        if isinstance(value, Tensor):
            claim(torch.equal(value, other), part, f"{promise} ({name})")
        elif isinstance(value, list | tuple):
            claim(repr(list(value)) == repr(list(other)), part, f"{promise} ({name})")


def _prints(source: Any, n: int) -> set[str]:
    size = source.info.size
    x = source.batch(torch.arange(n if size is None else min(n, size)))["x"]
    return {hashlib.sha256(v.numpy().tobytes() if isinstance(v, Tensor) else repr(v).encode()).hexdigest() for v in x}

"""A user's NumPy archive with an array `x`, items first, and optionally `label`; never unpickled."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Kind, Split
from frisket.data.files import check_split, in_split, regular_file

MOST = 10_000_000  # classes or ids; more are no classes, and a table of them would fill the memory
KINDS: dict[int, Kind] = {3: "series", 4: "image", 5: "video"}


@register("data/npz")
@dataclass(frozen=True, kw_only=True)
class Npz:
    """Items as stored: `x` of floats (series (n, c, l), images (n, c, h, w), video (n, c, t, h, w)) as float32; of
    bytes in the same layouts as float32 divided by 255; of other whole numbers, (n, *grid), as ids. `label`: whole
    numbers (n,).

    Images are 1, 3 or 4 channels. Every `holdout`-th item is the test's.
    """

    target: str
    holdout: int = 10

    def open(self, split: Split = "train") -> NpzSource:
        """Raises `FrisketError` on a missing or broken archive, object arrays, or a layout other than those above."""
        check_split(split, self.holdout)
        path = regular_file(self.target, "npz")
        if not zipfile.is_zipfile(path):
            raise FrisketError(f"npz: {self.target!r} cannot be read: it is no archive written by numpy.savez")
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("x", "label") if name in archive.files}
        except Exception as error:  # whatever the readers of zip and .npy meet in a broken or hostile file
            raise FrisketError(f"npz: {self.target!r} cannot be read: {' '.join(str(error).split())}") from error
        if "x" not in arrays:
            raise FrisketError(f"npz: {self.target!r} holds no array 'x'")
        return NpzSource(arrays["x"], arrays.get("label"), split, self)


class NpzSource:
    """All items of one split in memory."""

    def __init__(self, x: np.ndarray, label: np.ndarray | None, split: Split, config: Npz):
        kind = _kind(x, config.target)
        if label is not None and (label.shape != x.shape[:1] or label.dtype.kind not in "iu" or not _few(label)):
            raise FrisketError(
                f"npz: label of {config.target!r} must be {len(x)} whole numbers from 0 up, below {MOST:,}"
            )
        chosen = [n for n in range(len(x)) if in_split(n, split, config.holdout)]
        if not chosen:
            raise FrisketError(f"npz: {config.target!r} holds too few items for a {split} split")
        self.x = _tensor(x[chosen], kind)
        self.label = None if label is None else torch.from_numpy(label[chosen].astype(np.int64))
        count = 0 if label is None else int(label.max()) + 1
        self.info = Info(
            kind=kind, shape=tuple(x.shape[1:]), size=len(chosen), classes=tuple(str(k) for k in range(count)),
            digest=hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()[:12],
            extra={"vocabulary": int(x.max()) + 1} if kind == "ids" else {},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        batch: Batch = {"x": self.x[ids], "id": ids.to(torch.int64)}
        return batch if self.label is None else {**batch, "label": self.label[ids]}


def _kind(x: np.ndarray, target: str) -> Kind:
    if x.dtype.kind not in "fiu" or x.size == 0:
        raise FrisketError(f"npz: x of {target!r} is {x.dtype} of shape {x.shape}; it must hold numbers")
    if x.dtype.kind != "f" and x.dtype != np.uint8:
        if x.ndim < 2 or not _few(x):
            raise FrisketError(
                f"npz: ids of {target!r} must be (items, *grid) from 0 up, below {MOST:,}; they are {x.min()}..{x.max()} of "
                f"shape {x.shape}"
            )
        return "ids"
    if x.ndim not in KINDS:
        raise FrisketError(
            f"npz: x of {target!r} has shape {x.shape}; (n, c, l), (n, c, h, w) or (n, c, t, h, w) is wanted"
        )
    if x.ndim > 3 and x.shape[1] not in (1, 3, 4):
        raise FrisketError(f"npz: x of {target!r} has {x.shape[1]} channels in shape {x.shape}; 1, 3 or 4 are wanted")
    if x.dtype.kind == "f" and not (np.abs(x) <= np.finfo(np.float32).max).all():
        raise FrisketError(f"npz: x of {target!r} holds values that are not finite in 32 bits")
    return KINDS[x.ndim]


def _few(numbers: np.ndarray) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() < MOST)


def _tensor(x: np.ndarray, kind: Kind) -> Tensor:
    if kind == "ids":
        return torch.from_numpy(x.astype(np.int64))
    return torch.from_numpy(x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1))

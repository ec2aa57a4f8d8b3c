"""scikit-learn's real handwritten digits: 1,797 grey images of 8x8 in ten classes, embedded in the library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split


@register("data/digits")
@dataclass(frozen=True, kw_only=True)
class Digits:
    """Images float32 (b, 1, 8, 8) in [0, 1] with `label` 0..9. Every fifth image of a fixed shuffle is for testing."""

    def open(self, split: Split = "train") -> DigitsSource:
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        return DigitsSource(split)


class DigitsSource:
    """All images of one split in memory."""

    def __init__(self, split: Split):
        images, labels = _load()
        order = np.random.default_rng(0).permutation(len(images))
        test = np.arange(len(order)) % 5 == 4
        chosen = order[test if split == "test" else ~test]
        self.images, self.labels = torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen])
        self.info = Info(
            kind="image", shape=(1, 8, 8), size=len(chosen), classes=tuple("0123456789"),
            digest=hashlib.sha256(images[chosen].tobytes()).hexdigest()[:12],
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        return {"x": self.images[ids], "label": self.labels[ids], "id": ids}


@cache
def _load() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = (np.asarray(a) for a in load_digits(return_X_y=True))  # (1797, 64) in 0..16, (1797,)
    return (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32), labels.astype(np.int64)

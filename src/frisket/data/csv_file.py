"""A user's CSV file: columns of numbers as windows of a series, or rows of whole numbers as sequences of ids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import Skips, check_split, in_split, regular_file
from frisket.data.tables import read_columns
from frisket.data.windows import WindowSource


@register("data/csv")
@dataclass(frozen=True, kw_only=True)
class Csv:
    """Rows are time steps: windows `x` float32 (b, columns, length), the first `train` share of rows for training.

    columns: names, or empty for every column of numbers. Rows that do not parse are skipped, up to `skip_limit`; the
    rows around them then become neighbours.
    """

    target: str
    columns: tuple[str, ...] = ()
    length: int = 64
    stride: int = 1
    train: float = 0.8
    skip_limit: int = 10

    def open(self, split: Split = "train") -> WindowSource:
        """Raises `FrisketError` on a missing file, an unknown column, or a part shorter than a window."""
        check_split(split)
        path = regular_file(self.target, "csv")
        names, values = read_columns(path, self.columns, Skips(self.skip_limit, self.target))
        return WindowSource(
            values, names, split, length=self.length, stride=self.stride, train=self.train, what=f"csv {self.target}"
        )


@register("data/csv-ids")
@dataclass(frozen=True, kw_only=True)
class CsvIds:
    """Every row is one item: its columns are the ids `x` int64 (b, columns), whole numbers from 0 up.

    label: a column of whole numbers from 0 up, or "". Every `holdout`-th row is the test's.
    """

    target: str
    columns: tuple[str, ...] = ()
    label: str = ""
    holdout: int = 10
    skip_limit: int = 10

    def open(self, split: Split = "train") -> RowSource:
        """Raises `FrisketError` on a missing file, an unknown column, or values that are no ids."""
        check_split(split, self.holdout)
        path = regular_file(self.target, "csv")
        wanted = (*self.columns, self.label) if self.columns and self.label else self.columns
        names, values = read_columns(path, wanted, Skips(self.skip_limit, self.target))
        if (values < 0).any() or (values != np.floor(values)).any():
            raise FrisketError(f"csv: {self.target!r} holds values that are not whole numbers from 0 up")
        labels = None
        if self.label:
            check(self.label in names, "data.label", self.label, "a column of numbers: " + ", ".join(names))
            at = names.index(self.label)
            labels, values = values[:, at].astype(np.int64), np.delete(values, at, axis=1)
        return RowSource(values.astype(np.int64), labels, split, self.holdout, self.target)


class RowSource:
    """All rows of one split in memory."""

    def __init__(self, values: np.ndarray, labels: np.ndarray | None, split: Split, holdout: int, target: str):
        chosen = [n for n in range(len(values)) if in_split(n, split, holdout)]
        check(
            bool(chosen) and values.shape[1] > 0,
            f"csv {target}: rows and columns for the {split} split",
            values.shape,
            "1 or more",
        )
        self.values = torch.from_numpy(values[chosen])
        self.labels = None if labels is None else torch.from_numpy(labels[chosen])
        count = 0 if labels is None else int(labels.max()) + 1
        self.info = Info(
            kind="ids", shape=(values.shape[1],), size=len(chosen), classes=tuple(str(k) for k in range(count)),
            digest=hashlib.sha256(values.tobytes()).hexdigest()[:12],
            extra={"vocabulary": int(values.max()) + 1, "length": values.shape[1]},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        batch: Batch = {"x": self.values[ids], "id": ids.to(torch.int64)}
        return batch if self.labels is None else {**batch, "label": self.labels[ids]}

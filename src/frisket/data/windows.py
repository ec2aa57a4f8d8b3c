"""Windows of a long multivariate series, split by time and normalised by the statistics of the training part.

Shapes: b windows, c channels, l time steps.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.data.base import Batch, Info, Split


class WindowSource:
    """`x` float32 (b, c, l): the windows of one split, starting every `stride` steps.

    The first `train` share of time is the training part and the rest the test part; no window spans both. Each channel
    has the training part's mean taken off and is divided by its standard deviation (1 where a channel is constant);
    both stand in info.extra. Raises `FrisketError` if the part is shorter than a window.
    """

    def __init__(
        self, values: np.ndarray, names: tuple[str, ...], split: Split, *, length: int, stride: int = 1,
        train: float = 0.8, what: str = "series",
    ):  # fmt: skip
        check(length >= 1, "data.length", length, "1 or more")
        check(stride >= 1, "data.stride", stride, "1 or more")
        check(0 < train < 1, "data.train", train, "between 0 and 1")
        cut = int(train * len(values))
        mean, std = values[:cut].mean(0), values[:cut].std(0)
        std = np.where(std > 0, std, 1.0)
        part = values[:cut] if split == "train" else values[cut:]
        if len(part) < length:
            raise FrisketError(f"{what}: the {split} part has {len(part)} rows, fewer than length = {length}")
        self.values = torch.from_numpy(((part - mean) / std).astype(np.float32).T.copy())  # (c, time)
        self.windows = self.values.unfold(1, length, stride)  # (c, windows, l)
        self.info = Info(
            kind="series", shape=(values.shape[1], length), size=self.windows.shape[1],
            digest=hashlib.sha256(values.tobytes()).hexdigest()[:12],
            extra={"channels": names, "mean": tuple(mean.tolist()), "std": tuple(std.tolist())},
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        return {"x": self.windows[:, ids].transpose(0, 1).contiguous(), "id": ids.to(torch.int64)}

"""Time series that need no download: endless sines, and the series that matplotlib ships as sample data.

Sines follow the synthetic set of TimeGAN (Yoon et al. 2019, NeurIPS): every channel its own frequency and phase. The
range of frequencies is ours: in cycles per window, so that it means the same at any length. Shapes: b windows, c
channels, l time steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from frisket.core import config, random
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import Skips, check_split
from frisket.data.tables import read_columns
from frisket.data.windows import WindowSource

PRICES = ("IBM", "AAPL", "MSFT", "XRX", "ADBE", "^GSPC", "^IXIC")  # the columns of Stocks.csv that begin with it


@register("data/sines")
@dataclass(frozen=True, kw_only=True)
class Sines:
    """Endless `x` float32 (b, channels, length) in [-1, 1]: sin(2 pi (f j / length + p)), f uniform in `frequencies`
    (cycles a window) and p uniform in [0, 1), both per channel and item. Train and test are different draws."""

    channels: int = 5
    length: int = 64
    frequencies: tuple[float, float] = (1.0, 6.0)
    seed: int = 0

    def __post_init__(self):
        check(self.channels >= 1, "data.channels", self.channels, "1 or more")
        check(self.length >= 2, "data.length", self.length, "2 or more")
        low, high = self.frequencies
        check(0 <= low <= high, "data.frequencies", self.frequencies, "a pair low <= high of numbers from 0 up")

    def open(self, split: Split = "train") -> SineSource:
        check_split(split)
        return SineSource(self, split)


class SineSource:
    """Sines made on request; item i is a pure function of (seed, split, i)."""

    def __init__(self, sines: Sines, split: Split):
        self.sines, self.word = sines, random.hash_text(f"sines/{split}")
        self.info = Info(kind="series", shape=(sines.channels, sines.length), digest=config.digest(sines))

    def batch(self, ids: Tensor) -> Batch:
        low, high = self.sines.frequencies
        u = random.uniform(random.key(self.sines.seed, ids, self.word), 2 * self.sines.channels)
        frequency, phase = (low + (high - low) * u[:, 0::2])[..., None], u[:, 1::2, None]  # (b, c, 1) each
        time = torch.arange(self.sines.length, dtype=torch.float64) / self.sines.length
        x = torch.sin(2 * math.pi * (frequency * time + phase))
        return {"x": x.float(), "id": ids.to(torch.int64)}


@register("data/series")
@dataclass(frozen=True, kw_only=True)
class Series:
    """Windows of a real series, `x` float32 (b, c, length), oldest first; the first 80 % of time trains.

    name: "goog" (1,047 trading days of one share: open, high, low, close, volume, adjusted close), "stocks" (391
    months since 1990, the seven columns that begin then), "msft" (65 trading days, so a test window is at most 13
    long) or "eeg" (800 samples of 4 channels). view: "levels", or "returns" for log(x[j] / x[j-1]), which takes the
    drift of prices away.
    """

    name: Literal["goog", "stocks", "msft", "eeg"] = "goog"
    view: Literal["levels", "returns"] = "levels"
    length: int = 64
    stride: int = 1

    def __post_init__(self):
        check(self.name in READERS, "data.name", self.name, "one of " + ", ".join(READERS))
        check(self.view in ("levels", "returns"), "data.view", self.view, "'levels' or 'returns'")
        check(
            self.name != "eeg" or self.view == "levels", "data.view", self.view, "'levels' for eeg, which has no ratio"
        )

    def open(self, split: Split = "train") -> WindowSource:
        """Raises `FrisketError` if the installed matplotlib does not ship the file."""
        check_split(split)
        names, values = _read(self.name)
        if self.view == "returns":
            values = np.diff(np.log(values), axis=0)
        what = f"series {self.name}"
        return WindowSource(values, names, split, length=self.length, stride=self.stride, what=what)


def _goog(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        table = file["price_data"]
    names = tuple(n for n in table.dtype.names if n != "date")
    return names, np.stack([table[n].astype(np.float64) for n in names], axis=1)


def _stocks(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    return read_columns(path, PRICES, Skips(0, str(path)))


def _msft(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    names, values = read_columns(path, (), Skips(0, str(path)))
    return names, values[::-1].copy()  # the file has the newest day first


def _eeg(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    values = np.fromfile(path, dtype="<f8").reshape(-1, 4)  # 800 samples of 4 channels, as in matplotlib's own example
    return tuple(f"channel {k}" for k in range(4)), values.astype(np.float64)


READERS = {
    "goog": ("goog.npz", _goog), "stocks": ("Stocks.csv", _stocks), "msft": ("msft.csv", _msft),
    "eeg": ("eeg.dat", _eeg),
}  # fmt: skip


@lru_cache(maxsize=4)
def _read(name: str) -> tuple[tuple[str, ...], np.ndarray]:
    import matplotlib

    file, reader = READERS[name]
    path = Path(matplotlib.get_data_path()) / "sample_data" / file
    if not path.is_file():
        raise FrisketError(f"series {name!r}: matplotlib {matplotlib.__version__} does not ship {file}")
    return reader(path)

"""How sure a number is: bootstrap intervals over samples, paired t intervals over seeds, and the verdict they give.

Bootstrap: resample with replacement, take the percentiles of the statistic, and shift them so that their centre is the
measured value (distances between finite sets grow when samples repeat; the shift removes that artefact and leaves the
spread). What bias the statistic itself has at this n is shown by the floor beside it, not by the interval.
Paired: two arms trained with the same seeds share data order and evaluation noise, so their difference is what is
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from frisket.core.errors import check

Relation = Literal["less", "more", "same"]
Verdict = Literal["shown", "not shown at this scale", "opposite"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A measured value and the interval around it; `low` <= `high`."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arm minus baseline over paired seeds: mean, its t interval, mean relative to the baseline's (None when that is
    0), and the differences themselves."""

    value: float
    low: float
    high: float
    relative: float | None
    each: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"each": list(self.each)}


def bootstrap(
    statistic: Callable[..., float], sizes: Sequence[int], *, seed: int = 0, resamples: int = 200,
    confidence: float = 0.95, low: float = -np.inf, high: float = np.inf,
) -> Interval:  # fmt: skip
    """Interval of `statistic(index_1, index_2, ...)`, called with one index array for each set of `sizes`.

    `low` and `high` are the statistic's own range, which the interval does not leave. Equal seeds give equal intervals.
    Raises `FrisketError` on an empty set, fewer than 20 resamples, or a confidence outside (0, 1).
    """
    check(len(sizes) > 0 and min(sizes) >= 1, "sizes", tuple(sizes), "one or more, each at least 1")
    check(resamples >= 20, "resamples", resamples, "at least 20")
    check(0 < confidence < 1, "confidence", confidence, "between 0 and 1")
    rng = np.random.default_rng(seed)
    value = float(statistic(*(np.arange(n) for n in sizes)))
    drawn = np.array([statistic(*(rng.integers(0, n, n) for n in sizes)) for _ in range(resamples)])
    tail = (1 - confidence) / 2
    below, above = np.quantile(drawn - drawn.mean(), (tail, 1 - tail))
    return Interval(
        value=value, low=float(np.clip(value + below, low, value)), high=float(np.clip(value + above, value, high))
    )


def bootstrap_mean(values: Sequence[float] | np.ndarray, **options: Any) -> Interval:
    """`bootstrap` of a plain mean, e.g. of hits (0 or 1) or of losses an item."""
    array = np.asarray(values, dtype=np.float64)
    return bootstrap(lambda i: float(array[i].mean()), (len(array),), **options)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean over seeds with its t interval; with a single value the interval is that value alone."""
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    check(len(x) >= 1 and bool(np.isfinite(x).all()), "values", tuple(values), "one or more finite numbers")
    mean = float(x.mean())
    half = float(t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0
    return Interval(value=mean, low=mean - half, high=mean + half)


def paired(arm: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> Difference:
    """The paired difference arm - baseline; entry i of both comes from the same seed.

    Raises `FrisketError` on fewer than three seeds or unequal numbers of them.
    """
    check(len(arm) == len(baseline), "arm", len(arm), f"{len(baseline)} values, one a seed, as the baseline has")
    check(len(arm) >= 3, "seeds", len(arm), "at least 3")
    each = np.asarray(arm, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    interval = mean_interval(each.tolist(), confidence)
    base = float(np.mean(baseline))
    relative = interval.value / abs(base) if base else None
    return Difference(value=interval.value, low=interval.low, high=interval.high, relative=relative,
                      each=tuple(each.tolist()))  # fmt: skip


def verdict(differences: Sequence[float], expected: Relation, margin: float = 0.0, confidence: float = 0.95) -> Verdict:
    """Judge paired differences (arm - other, one a seed) against what was expected.

    less / more: "shown" when the whole interval lies beyond `margin` on the expected side, "opposite" when it lies
    beyond it on the other side, else "not shown at this scale". same: "shown" when the interval lies within +-margin
    (which must then be positive), "opposite" when it lies outside. Raises `FrisketError` on fewer than three seeds.
    """
    check(expected in ("less", "more", "same"), "expected", expected, "'less', 'more' or 'same'")
    check(margin > 0 if expected == "same" else margin >= 0, "margin", margin, "positive for 'same', else at least 0")
    check(len(differences) >= 3, "seeds", len(differences), "at least 3")
    interval = mean_interval(differences, confidence)
    below, above = interval.high < -margin, interval.low > margin
    if expected == "same":
        shown, opposite = -margin <= interval.low and interval.high <= margin, below or above
    else:
        shown, opposite = (below, above) if expected == "less" else (above, below)
    return "shown" if shown else "opposite" if opposite else "not shown at this scale"

"""Do two methods add up? Each alone, each pair, and whether a pair gives more or less than the sum of its parts.

With measures b (baseline), x, y (each alone) and xy (both), all over the same seeds, the interaction is
(xy - b) - (x - b) - (y - b), judged by its paired t interval. For a measure where less is better, a negative
interaction means that the pair gains more than the sum. Shapes: s seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from frisket.core.errors import check, unknown
from frisket.evaluation.intervals import Difference, mean_interval, paired


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """One pair. effect: the pair against the baseline. beyond: what is left after both effects alone are taken off.
    reading: the pair's gain against the sum of gains, "not told from the sum" unless the interval of `beyond` excludes
    0."""

    first: str
    second: str
    effect: Difference
    beyond: Difference
    reading: Literal["more than the sum", "not told from the sum", "less than the sum"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "first": self.first, "second": self.second, "effect": self.effect.as_dict(),
            "beyond": self.beyond.as_dict(), "reading": self.reading,
        }  # fmt: skip


def interactions(
    alone: Mapping[str, Sequence[float]], pairs: Mapping[tuple[str, str], Sequence[float]], baseline: Sequence[float],
    better: Literal["less", "more"] = "less", confidence: float = 0.95,
) -> list[Interaction]:  # fmt: skip
    """All `pairs` of the methods measured `alone`; one value a seed everywhere, in the same order.

    Raises `FrisketError` when a pair names a method that was not measured alone, or on fewer than three seeds.
    """
    check(better in ("less", "more"), "better", better, "'less' or 'more'")
    base = np.asarray(baseline, dtype=np.float64)
    out = []
    for (first, second), values in pairs.items():
        for name in (first, second):
            if name not in alone:
                raise unknown("method", name, alone)
        effect = paired(values, baseline, confidence)
        sums = np.asarray(alone[first], dtype=np.float64) + np.asarray(alone[second], dtype=np.float64) - base
        beyond = paired(values, sums.tolist(), confidence)
        out.append(Interaction(first=first, second=second, effect=effect, beyond=beyond,
                               reading=_reading(beyond, better, confidence)))  # fmt: skip
    return out


def _reading(beyond: Difference, better: str, confidence: float) -> Any:
    interval = mean_interval(beyond.each, confidence)
    gains, loses = (interval.high < 0, interval.low > 0) if better == "less" else (interval.low > 0, interval.high < 0)
    return "more than the sum" if gains else "less than the sum" if loses else "not told from the sum"

"""Forecasts: what a branch would give at this step, from what it gave at earlier ones.

Every forecast here is linear in the stored results, so it is a list of weights that depends on step numbers alone.
Taylor follows TaylorSeer (arXiv 2503.06923, its eq. for the forecast from finite differences): derivatives are repeated
backward difference quotients of the computed steps. The paper spaces these evenly; the quotients here use the real
distances, so a first interval of another length is right too. Shapes: k stored results, oldest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from frisket.core.errors import check
from frisket.core.registry import register

CITE_TAYLOR = (
    "Liu et al. From Reusing to Forecasting: Accelerating Diffusion Models with TaylorSeers. 2025. arXiv:2503.06923"
)


class Forecast(Protocol):
    """A registered value ("forecast/..."). nodes: how many computed results it looks back at, at most."""

    @property
    def nodes(self) -> int: ...

    def weights(self, at: Sequence[int], index: int) -> list[float]:
        """The weights (k,) at step `index` of the results of the steps `at`, ascending; they sum to one. There may be
        fewer than `nodes` of them, and one alone has the weight 1."""
        ...


@register("forecast/taylor", cite=CITE_TAYLOR)
@dataclass(frozen=True, kw_only=True)
class Taylor:
    """sum over i <= order of (difference quotient i) x^i / i!, x steps after the latest computed one."""

    order: int = 1

    def __post_init__(self):
        check(self.order >= 0, "forecast.order", self.order, "at least 0 (reuse)")

    @property
    def nodes(self) -> int:
        return self.order + 1

    def weights(self, at: Sequence[int], index: int) -> list[float]:
        count, x = len(at), index - at[-1]
        rows = [[float(i == j) for j in range(count)] for i in range(count)]  # row i: the value at node i
        out = list(rows[-1])
        for k in range(1, count):
            rows = [
                [(new - old) / (at[i + 1] - at[i]) for new, old in zip(rows[i + 1], rows[i], strict=True)]
                for i in range(len(rows) - 1)
            ]
            at = at[1:]  # a quotient stands at its later end, as in the paper
            out = [w + q * x**k / math.factorial(k) for w, q in zip(out, rows[-1], strict=True)]
        return out


@register("forecast/polynomial")
@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """The polynomial through the latest order + 1 results, continued. Equal to Taylor up to order 1."""

    order: int = 2

    def __post_init__(self):
        check(self.order >= 0, "forecast.order", self.order, "at least 0 (reuse)")

    @property
    def nodes(self) -> int:
        return self.order + 1

    def weights(self, at: Sequence[int], index: int) -> list[float]:
        return [math.prod((index - other) / (node - other) for other in at if other != node) for node in at]

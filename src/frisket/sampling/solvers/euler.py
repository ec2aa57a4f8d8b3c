"""Euler's method on the probability flow in t, for any gaussian path.

dx/dt = alpha'(t) x0 + sigma'(t) noise, with x0 and noise the estimates at (x, t) (arXiv 2209.03003 for straight paths,
2303.08797 for all). Order one. Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from frisket.core.registry import register
from frisket.processes.base import expand
from frisket.sampling.base import Moment
from frisket.sampling.levels import gaussian


@register("solver/euler")
@dataclass(frozen=True, kw_only=True)
class Euler:
    """One forward a move."""

    reversible: ClassVar[bool] = True

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        slope = gaussian(at.process).velocity(at.evaluate(x, t), x, t)
        return x + expand(s - t, x).to(x.dtype) * slope

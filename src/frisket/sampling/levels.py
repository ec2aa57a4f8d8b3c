"""What solvers ask of a gaussian process: `level(t, x)` with the signal and noise coefficients and their slopes in t,
`velocity` and `posterior`. A process without them holds ids, and no solver can move those.

x_t = alpha(t) x0 + sigma(t) noise. Shapes: b batch, `*s` the state's shape, k times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.processes.base import Process
from frisket.processes.joint import process_of

if TYPE_CHECKING:
    from frisket.processes.gaussian import Gaussian
    from frisket.processes.paths import Level


def gaussian(process: Process) -> Gaussian:
    """`process`, if it is gaussian; of a joint one, which sees one tensor here, that of "x". Raises `FrisketError`
    otherwise."""
    process = process_of(process)
    if not hasattr(process, "level"):
        raise FrisketError(f"{type(process).__name__} has no signal and noise levels; sample it with a decoder")
    return process  # type: ignore[return-value]


def level(process: Process, t: Tensor, x: Tensor) -> Level:
    """alpha, sigma and their slopes at t, broadcast against x (b, *s)."""
    return gaussian(process).level(t, x)


def time_of_ratio(process: Any, ratio: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
    """The time at which sigma / alpha is `ratio`, by bisection over (0, 1]; 1 where the path never reaches it."""
    path = gaussian(process).path
    low, high = torch.zeros_like(ratio), torch.ones_like(ratio)
    for _ in range(60):
        middle = (low + high) / 2
        at = path.level(middle)
        above = at.sigma > ratio * at.alpha
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high

"""Static interval: whole forwards at every N-th step, stored branch outputs at the steps between.

FORA (arXiv 2407.01425; facts from prathebaselva/FORA src/models.py, `boost_infer_static`). Steps are numbered down to
s = 0 and a forward is full when it is the first or s is a multiple of N, so the *last* step is always full. With a
forecast in place of plain reuse it is TaylorSeer (arXiv 2503.06923). Where the number of steps is not known (a foreign
model without its pipeline), the multiples are counted from the first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frisket.caching.base import Cache, Mounted, Verb
from frisket.caching.branches import mount_branches
from frisket.caching.forecasts import Forecast
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step

CITE_FORA = "Selvaraju et al. FORA: Fast-Forward Caching in Diffusion Transformer Acceleration. 2024. arXiv:2407.01425"


@register("cache/interval", cite=CITE_FORA)
@dataclass(frozen=True, kw_only=True)
class Interval(Cache):
    """every: N; 1 is the dense run bit for bit. forecast: what stands in at the steps between (None: the stored output
    as it is). first: how many steps at the start are full. sites: the branches that are cached, by name; () for all;
    ("encoder",) for what a condition encoder gives; ("model",) for the network's whole output, whose reuse is a longer
    step of the solver and whose forecast is a multistep method."""

    every: int = 3
    forecast: Forecast | None = None
    first: int = 1
    sites: tuple[str, ...] = ()

    def __post_init__(self):
        check(self.every >= 1, "cache.every", self.every, "at least 1")
        check(self.first >= 1, "cache.first", self.first, "at least 1")

    def mount(self, model: Any) -> Mounted:
        return mount_branches(model, self.sites, lambda: _Static(self), self.forecast)

    def full(self, index: int, total: int) -> bool:
        """Whether step `index` of `total` (0: not known) computes everything."""
        if index < self.first:
            return True
        return (total - 1 - index if total else index) % self.every == 0

    def full_steps(self, total: int) -> int:
        """How many of `total` steps are full."""
        return sum(self.full(index, total) for index in range(total))


@dataclass
class _Static:
    """The policy; a line needs nothing of its own."""

    cache: Interval

    def begin(self, step: Step) -> None:
        pass

    def decide(self, site: str, step: Step) -> Verb:
        if self.cache.full(step.index, step.total):
            return "compute"
        return "reuse" if self.cache.forecast is None else "forecast"

    def see(self, site: str, result: Any, step: Step) -> None:
        pass

    def end(self, step: Step) -> None:
        pass

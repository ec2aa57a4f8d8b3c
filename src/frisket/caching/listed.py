"""Listed steps: what is cached is computed at the steps that a list names, and stored results serve the others.

DDT (arXiv 2504.05741) shares its encoder's output this way, evenly or by a list found for the sampler (`prepare/refresh`,
see `caching.refresh`); embedders, decoder blocks and head run at every step, so the time inside a stored condition is
the one it was made at. Where the branches that a forward computes change, or a run begins anew, everything is computed.
Shapes: none of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from frisket.caching.base import Cache, Mounted, Verb
from frisket.caching.branches import mount_branches
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.encoders import CITE, SITE


@register("cache/listed", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Listed(Cache):
    """steps: at which `sites` are computed, the first of them 0. total: how many steps the run has that the list is for;
    in a run of another length the steps stand at the same shares of it. sites: branches by name, () for all, or one
    wider site alone, such as the encoder."""

    steps: tuple[int, ...] = (0,)
    total: int = 1
    sites: tuple[str, ...] = (SITE,)

    def __post_init__(self):
        check(bool(self.steps) and self.steps[0] == 0, "cache.steps", self.steps, "a list that begins with 0")
        rising = all(a < b for a, b in pairwise(self.steps))
        check(rising and self.steps[-1] < self.total, "cache.steps", self.steps, f"rising and below {self.total}")

    def mount(self, model: Any) -> Mounted:
        return mount_branches(model, self.sites, lambda: _Listed(self))

    def steps_of(self, total: int) -> tuple[int, ...]:
        """The steps that compute in a run of `total` (0: not known, taken for the list's own length)."""
        total = total or self.total
        return tuple(sorted({step * total // self.total for step in self.steps}))


def even(total: int, count: int, sites: tuple[str, ...] = (SITE,)) -> Listed:
    """`count` of `total` steps, as evenly apart as whole steps allow. Raises `FrisketError` unless 1 <= count <= total."""
    check(1 <= count <= total, "count", count, f"between 1 and {total}")
    return Listed(steps=tuple(i * total // count for i in range(count)), total=total, sites=sites)


@dataclass
class _Listed:
    """The policy; a line needs nothing of its own."""

    cache: Listed

    def begin(self, step: Step) -> None:
        pass

    def decide(self, site: str, step: Step) -> Verb:
        return "compute" if step.index in self.cache.steps_of(step.total) else "reuse"

    def see(self, site: str, result: Any, step: Step) -> None:
        pass

    def end(self, step: Step) -> None:
        pass

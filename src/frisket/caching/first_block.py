"""First-block threshold: the first block always runs, and how far its branches moved decides about all others.

The idea is that of the first-block cache of ParaAttention, which diffusers has as `FirstBlockCache` and which
compares residuals of the whole block; its threshold is on the mean absolute change relative to the mean absolute value,
since the last full step. Here ungated branch outputs are compared and reused, so gates follow the current time; the
change of all the first block's branches counts together. As there, a small change may be skipped any number of times
in a row unless `longest` says otherwise; the comparison stays with the last full step, so slow drift is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from frisket.caching.base import Cache, Mounted, Verb
from frisket.caching.branches import branch_sites, mount_branches
from frisket.caching.forecasts import Forecast
from frisket.caching.lines import tensors
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step


@register("cache/first_block")
@dataclass(frozen=True, kw_only=True)
class FirstBlock(Cache):
    """threshold: relative change from which a step is full; 0 is the dense run bit for bit. forecast: what stands in
    otherwise (None: the stored outputs). first: how many steps at the start are full. longest: how many steps in a row
    may be skipped (None: any number)."""

    threshold: float = 0.1
    forecast: Forecast | None = None
    first: int = 1
    longest: int | None = None

    def __post_init__(self):
        check(self.threshold >= 0, "cache.threshold", self.threshold, "at least 0")
        check(self.first >= 1, "cache.first", self.first, "at least 1")
        check(self.longest is None or self.longest >= 1, "cache.longest", self.longest, "at least 1, or None")

    def mount(self, model: Any) -> Mounted:
        sites = branch_sites(model)
        block = sites[0].rsplit(".", 1)[0]
        watched = tuple(site for site in sites if site.startswith(f"{block}."))
        return mount_branches(model, (), lambda: _Watching(self, watched), self.forecast)


@dataclass
class _Watching:
    """reference: the watched results of the last full step. seen: those of this one. verb: of the other sites, once it
    is decided in this step. skipped: steps since the last full one."""

    cache: FirstBlock
    watched: tuple[str, ...]
    reference: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    verb: Verb | None = None
    skipped: int = 0

    def begin(self, step: Step) -> None:
        self.seen, self.verb = {}, None

    def decide(self, site: str, step: Step) -> Verb:
        if site in self.watched:
            return "compute"
        if self.verb is None:
            self.verb = self._verb(step)
        return self.verb

    def see(self, site: str, result: Any, step: Step) -> None:
        if site in self.watched:
            self.seen[site] = result

    def end(self, step: Step) -> None:
        if self.verb in ("compute", None):
            self.reference, self.skipped = self.seen, 0
        else:
            self.skipped += 1

    def _verb(self, step: Step) -> Verb:
        cache = self.cache
        tired = cache.longest is not None and self.skipped >= cache.longest
        if step.index < cache.first or tired or change(self.seen, self.reference) >= cache.threshold:
            return "compute"
        return "reuse" if cache.forecast is None else "forecast"


def change(now: dict[str, Any], before: dict[str, Any]) -> float:
    """Sum of absolute differences over the sum of absolute values before; infinite where there is nothing before."""
    moved, size = 0.0, 0.0
    for site, value in now.items():
        for new, old in zip(tensors(value), tensors(before.get(site)), strict=False):
            if new.shape == old.shape:
                moved = moved + (new - old).abs().sum(dtype=torch.float32)
                size = size + old.abs().sum(dtype=torch.float32)
    return float(moved / size) if float(size) > 0 else float("inf")

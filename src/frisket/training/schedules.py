"""How the learning rate moves over training: a factor on each group's own rate, with a linear warm-up.

Warm-up + constant, cosine (arXiv 1608.03983 without restarts), and warm-up-stable-decay (WSD, arXiv 2404.06395; its
1 - sqrt tail is from arXiv 2405.18392). A factor is a function of the step number alone, so resuming needs no state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from frisket.core.errors import check
from frisket.core.registry import register


class Schedule(Protocol):
    """A registered value ("ramp/...")."""

    def factor(self, step: int, steps: int) -> float:
        """The factor of update `step` (0 .. steps - 1) in a run of `steps`, in [0, 1]."""
        ...


def warm(step: int, warmup: int) -> float:
    """(step + 1) / warmup during the first `warmup` steps, then 1; so the first update is never void."""
    return min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0


def _left(step: int, start: int, steps: int) -> float:
    """How much of the stretch [start, steps) is still ahead at `step`: 1 at its start, 0 at its end."""
    return 1.0 - min(1.0, max(0.0, (step - start) / max(1, steps - start)))


@register("ramp/constant")
@dataclass(frozen=True, kw_only=True)
class Constant:
    """Warm-up over `warmup` steps, then flat."""

    warmup: int = 0

    def __post_init__(self):
        check(self.warmup >= 0, "schedule.warmup", self.warmup, "0 or more steps")

    def factor(self, step: int, steps: int) -> float:
        return warm(step, self.warmup)


@register("ramp/cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Warm-up over `warmup` steps, then half a cosine down to `floor` at the end of the run."""

    warmup: int = 0
    floor: float = 0.0

    def __post_init__(self):
        check(self.warmup >= 0, "schedule.warmup", self.warmup, "0 or more steps")
        check(0 <= self.floor <= 1, "schedule.floor", self.floor, "between 0 and 1")

    def factor(self, step: int, steps: int) -> float:
        if step < self.warmup:
            return warm(step, self.warmup)
        half = 0.5 * (1.0 - math.cos(math.pi * _left(step, self.warmup, steps)))
        return self.floor + (1.0 - self.floor) * half


@register("ramp/wsd")
@dataclass(frozen=True, kw_only=True)
class WarmupStableDecay:
    """Warm-up over `warmup` steps, flat, and over the last fraction `decay` of the run down to `floor` as 1 - sqrt."""

    warmup: int = 0
    decay: float = 0.2
    floor: float = 0.0

    def __post_init__(self):
        check(self.warmup >= 0, "schedule.warmup", self.warmup, "0 or more steps")
        check(0 < self.decay <= 1, "schedule.decay", self.decay, "above 0 and at most 1")
        check(0 <= self.floor <= 1, "schedule.floor", self.floor, "between 0 and 1")

    def factor(self, step: int, steps: int) -> float:
        left = _left(step, steps - round(self.decay * steps), steps)
        return warm(step, self.warmup) * (self.floor + (1.0 - self.floor) * (1.0 - math.sqrt(1.0 - left)))


@register("ramp/stepped")
@dataclass(frozen=True, kw_only=True)
class Stepped:
    """Warm-up over `warmup` steps, then flat, multiplied by `by` from each fraction of the run in `at` on."""

    warmup: int = 0
    at: tuple[float, ...] = (0.9, 0.95)
    by: float = 0.1

    def __post_init__(self):
        check(self.warmup >= 0, "schedule.warmup", self.warmup, "0 or more steps")
        check(all(0 <= a <= 1 for a in self.at), "schedule.at", self.at, "fractions of the run")
        check(0 <= self.by <= 1, "schedule.by", self.by, "between 0 and 1")

    def factor(self, step: int, steps: int) -> float:
        return warm(step, self.warmup) * self.by ** sum(step >= round(a * steps) for a in self.at)

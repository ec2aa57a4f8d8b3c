"""Who passes through a span while training: random tokens, some of each cell, a share that changes, none at all.

Kept ids are in raster order, so that scans, windows and causal masks see their tokens in order; attention alone does not
care. The published codes draw independently per sample, as here. Cells with random members are SPRINT's "structured"
subsampling (arXiv 2510.21986).
Shapes: b rows, n tokens, m kept tokens, g cells, c tokens of a cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.plans.base import Choose
from frisket.models.tokens import Tags

Floor = Literal["kept", "dropped"]


@register("choose/uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Each token with the same chance; the share `drop` of them does not pass. floor: which of the two numbers is
    rounded down (at least one token passes)."""

    drop: float = 0.5
    floor: Floor = "dropped"

    def __post_init__(self):
        check(0 <= self.drop < 1, "choose.drop", self.drop, "in [0, 1)")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        return lowest(step.draw(purpose, (tags.n,), "uniform"), kept_number(tags.n, self.drop, self.floor))

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        return ((1.0, kept_number(tags.n, self.drop, self.floor)),)


@register("choose/between")
@dataclass(frozen=True, kw_only=True)
class Between:
    """As `Uniform`, with a share drawn evenly between `low` and `high`, one for the whole batch of a step (MDTv2 draws
    one a forward pass)."""

    low: float = 0.3
    high: float = 0.5
    floor: Floor = "kept"

    def __post_init__(self):
        check(0 <= self.low <= self.high < 1, "choose (low, high)", (self.low, self.high), "0 <= low <= high < 1")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        drop = self.low + (self.high - self.low) * float(step.shared(f"{purpose}/share"))
        return lowest(step.draw(purpose, (tags.n,), "uniform"), kept_number(tags.n, drop, self.floor))

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        """At the mean share: costs are close to linear in it."""
        return ((1.0, kept_number(tags.n, (self.low + self.high) / 2, self.floor)),)


@register("choose/cells")
@dataclass(frozen=True, kw_only=True)
class Cells:
    """Of each cell of `side` tokens along every axis, `keep` at random: no region is left out."""

    side: int = 2
    keep: int = 1

    def __post_init__(self):
        check(self.side >= 1 and self.keep >= 1, "choose (side, keep)", (self.side, self.keep), "positive")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        members = self.members(tags).to(step.sample.device)  # (g, c)
        scores = step.draw(purpose, tuple(members.shape), "uniform")  # (b, g, c)
        chosen = scores.argsort(-1)[..., : self.keep]
        return members.expand(len(scores), -1, -1).gather(2, chosen).flatten(1).sort(1).values

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        return ((1.0, len(self.members(tags)) * self.keep),)

    def members(self, tags: Tags) -> Int[Tensor, "g c"]:
        """The tokens of each cell. Raises `FrisketError` if cells do not tile the grid."""
        axes = tags.extent
        if axes is None:
            raise FrisketError("choose/cells needs the tokens of a whole grid")
        check(all(a % self.side == 0 for a in axes), "choose.side", self.side, f"a divisor of each axis of {axes}")
        size = self.side ** len(axes)
        check(self.keep <= size, "choose.keep", self.keep, f"at most {size}, the tokens of a cell")
        split = torch.arange(math.prod(axes)).reshape(*(v for a in axes for v in (a // self.side, self.side)))
        order = [*range(0, 2 * len(axes), 2), *range(1, 2 * len(axes), 2)]
        return split.permute(order).reshape(-1, size)


@register("choose/skip")
@dataclass(frozen=True, kw_only=True)
class Skip:
    """`inner`'s choice, except that a sample skips the whole span with probability `rate` (SPRINT's path drop)."""

    inner: Choose | None = None
    rate: float = 0.1

    def __post_init__(self):
        check(0 <= self.rate <= 1, "choose.rate", self.rate, "a probability")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        ids = None if self.inner is None else self.inner.ids(tags, step, purpose, noise)
        skips = step.draw(f"{purpose}/skip", (), "uniform") < self.rate
        if ids is None:
            ids = torch.arange(tags.n, device=skips.device).expand(len(skips), -1)
        return ids.masked_fill(skips[:, None], -1)

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        inner = ((1.0, tags.n),) if self.inner is None else self.inner.counts(tags)
        return (*((p * (1 - self.rate), m) for p, m in inner), (self.rate, 0))


@register("choose/skip_together")
@dataclass(frozen=True, kw_only=True)
class SkipTogether:
    """As `Skip`, with one draw for the whole batch of a step, on every process (SR-DiT, arXiv 2512.12386)."""

    inner: Choose | None = None
    rate: float = 0.05

    def __post_init__(self):
        check(0 <= self.rate <= 1, "choose.rate", self.rate, "a probability")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        if float(step.shared(f"{purpose}/skip")) < self.rate:
            return torch.full((len(step.sample), 1), -1, dtype=torch.int64, device=step.sample.device)
        return None if self.inner is None else self.inner.ids(tags, step, purpose, noise)

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        return Skip(inner=self.inner, rate=self.rate).counts(tags)


@register("choose/then")
@dataclass(frozen=True, kw_only=True)
class Then:
    """`first` in the first `share` of the training's steps, then `last`: a sparse phase and a dense one in one run."""

    first: Choose
    last: Choose
    share: float = 5 / 6

    def __post_init__(self):
        check(0 <= self.share <= 1, "choose.share", self.share, "in [0, 1]")

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        now = self.first if step.index < self.share * step.total else self.last
        return now.ids(tags, step, purpose, noise)

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        """In the mean over the run."""
        phases = ((self.share, self.first), (1 - self.share, self.last))
        return tuple((share * p, m) for share, choose in phases for p, m in choose.counts(tags) if share > 0)


@register("choose/all")
@dataclass(frozen=True, kw_only=True)
class All:
    """Everybody: in a task's `choose`, it switches a span's own choice off (a dense phase)."""

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Int[Tensor, "b m"] | None:
        return None

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        return ((1.0, tags.n),)


def kept_number(n: int, drop: float, floor: Floor) -> int:
    """How many of n tokens pass when the share `drop` does not."""
    return max(1, n - int(n * drop) if floor == "dropped" else int(n * (1 - drop)))


def lowest(scores: Float[Tensor, "b n"], count: int) -> Int[Tensor, "b m"]:
    """The places of the `count` lowest scores of each row, in raster order."""
    return scores.argsort(1)[:, :count].sort(1).values

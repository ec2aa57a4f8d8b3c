"""Dilated plans: places far apart are revealed together, coarse to fine, so a block of B takes about log2 B forwards.

DUS, arXiv 2506.19037 (official code: omerlux/DUS generate.py, read for facts). Under a fast mixing source, places far
apart are almost independent once some are visible, and what is revealed together is drawn independently. A plan is an
order whose equals form its levels, so any other order with equals can be revealed level by level too. The option of the
official code to hide unsure places of a level again is left out: nothing reveals them later (the paper's algorithm has
no such step). A last block that is shorter has a plan of its own; official code refuses it.
Shapes: r rows, n tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.sampling.decoding.orders import Proposed
from frisket.sampling.decoding.selects import Hidden, top

CITE_DUS = (
    "Luxembourg, Permuter, Nachmani. Plan for Speed: Dilated Scheduling for Masked Diffusion Language Models. 2025. "
    "arXiv:2506.19037"
)

Levels = tuple[tuple[int, ...], ...]
WIDE = 1e6  # between levels: wider than any other score


def dilated_levels(length: int, base: int = 2, skip: int = 1) -> Levels:
    """The places 0..length-1 level by level: multiples of the stride length / base^skip, then of strides divided by
    `base`, then what is left. A last level smaller than the one before joins it. base 1: a single level."""
    check(length >= 1, "length", length, "at least 1")
    check(base >= 1, "base", base, "at least 1")
    check(skip >= 1, "skip", skip, "at least 1")
    strides, stride = [], length // base**skip
    while stride >= 1 and base > 1:
        strides.append(stride)
        stride //= base
    groups: list[list[int]] = [[] for _ in range(len(strides) + 1)]
    for place in range(length):
        groups[next((k for k, s in enumerate(strides) if place % s == 0), len(strides))].append(place)
    return _merged(groups)


def binary_levels(length: int) -> Levels:
    """The middle, then the middles of both halves, and so on; a last level smaller than the one before joins it."""
    check(length >= 1, "length", length, "at least 1")
    groups: list[list[int]] = []
    spans = [(0, length - 1)]
    while spans:
        groups.append([(low + high) // 2 for low, high in spans])
        halves = [half for low, high in spans
                  for half in ((low, (low + high) // 2 - 1), ((low + high) // 2 + 1, high))]  # fmt: skip
        spans = [(low, high) for low, high in halves if low <= high]
    return _merged(groups)


def _merged(groups: list[list[int]]) -> Levels:
    levels = [g for g in groups if g]
    if len(levels) >= 2 and len(levels[-1]) < len(levels[-2]):
        last = levels.pop()
        levels[-1] = sorted(levels[-1] + last)
    return tuple(tuple(level) for level in levels)


@register("order/dilated", cite=CITE_DUS)
@dataclass(frozen=True, kw_only=True)
class Dilated:
    """Blocks of `block` tokens left to right, each level by level; equals are one level. base: how much finer each
    level is than the one before (1: a block at once). skip: the first stride is block / base^skip."""

    block: int = 32
    base: int = 2
    skip: int = 1

    def __post_init__(self):
        check(self.block >= 1, "order.block", self.block, "at least 1")
        check(self.base >= 1, "order.base", self.base, "at least 1")
        check(self.skip >= 1, "order.skip", self.skip, "at least 1")

    def levels(self, n: int) -> Levels:
        """All levels of n places, in the order in which they are revealed."""
        return _in_blocks(n, self)

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        return _ranked(self.levels(proposed.ids.shape[1]), proposed)


@register("order/binary", cite=CITE_DUS)
@dataclass(frozen=True, kw_only=True)
class Binary:
    """Blocks of `block` tokens left to right, each by bisection: the middle, the middles of the halves, and so on."""

    block: int = 32

    def __post_init__(self):
        check(self.block >= 1, "order.block", self.block, "at least 1")

    def levels(self, n: int) -> Levels:
        """All levels of n places, in the order in which they are revealed."""
        return _in_blocks(n, self)

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        return _ranked(self.levels(proposed.ids.shape[1]), proposed)


@lru_cache(maxsize=64)
def _in_blocks(n: int, plan: Dilated | Binary) -> Levels:
    out: list[tuple[int, ...]] = []
    for start in range(0, n, plan.block):
        length = min(plan.block, n - start)
        inside = dilated_levels(length, plan.base, plan.skip) if isinstance(plan, Dilated) else binary_levels(length)
        out += [tuple(start + place for place in level) for level in inside]
    return tuple(out)


def _ranked(levels: Levels, proposed: Proposed) -> Float[Tensor, "r n"]:
    r, n = proposed.ids.shape
    rank = torch.empty(n, dtype=proposed.log_p.dtype)
    for number, level in enumerate(levels):
        rank[list(level)] = number
    return -WIDE * rank.to(proposed.log_p.device).expand(r, n)


@register("select/tied", cite=CITE_DUS)
@dataclass(frozen=True, kw_only=True)
class Tied:
    """All places that share the best score: with `order/dilated` the next level that has anything hidden, with
    `order/raster` the next block. Give the sampler as many steps as there are levels; with more it ends early, with
    fewer the last move reveals the rest."""

    reconsiders: ClassVar[bool] = True

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return hidden.now.any(1)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        return hidden.now & (scores == scores.amax(1, keepdim=True))


@register("select/dilated-sizes", cite=CITE_DUS)
@dataclass(frozen=True, kw_only=True)
class DilatedSizes:
    """In move i as many of the best-scored as the plan's level i has: the numbers of `order/dilated` with places chosen
    by another order, which shows what the spacing alone does. Behind several blocks put `order/raster` of that block
    among the orders."""

    reconsiders: ClassVar[bool] = True

    plan: Dilated = Dilated()

    def _count(self, hidden: Hidden) -> int:
        levels = self.plan.levels(hidden.now.shape[1])
        return len(levels[hidden.step.index]) if hidden.step.index < len(levels) else 0

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return hidden.now.any(1) & (self._count(hidden) > 0)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        count = torch.full((len(scores),), self._count(hidden), dtype=torch.int64, device=scores.device)
        return hidden.now & top(scores, count)

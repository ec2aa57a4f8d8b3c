"""Rankings: how much each block, or each unit inside the blocks, matters. What scores lowest goes first.

The baselines that learned pruning is measured against. Magnitude: the weights' norm. Sensitivity: what the loss gains
when a block is skipped. Influence: 1 - cos(in, out) of a block (ShortGPT, arXiv 2403.03853, as VainF/TinyFusion
prune_by_score.py uses it). Taylor: |d loss / d gate| at gate 1, the first-order change of the loss (arXiv 1905.10650
for heads). Exhaustive: the lowest loss over all subsets, the criterion that TinyFusion argues against.
Shapes: m blocks, u units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.compression.calibration import Calibration, CalibrationPass, mean_loss, run_pass
from frisket.compression.gates import fixed_units, gate_blocks, skip_blocks
from frisket.compression.width import units_of, weights_of_units
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Handler
from frisket.core.step import Step
from frisket.data.base import Data
from frisket.models.numbering import blocks_of
from frisket.models.tokens import Tokens
from frisket.sampling.pipeline import Pipeline

MOST = 5000  # subsets that an exhaustive search may try


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a ranking may look at."""

    pipeline: Pipeline
    data: Data
    seed: int = 0

    @property
    def model(self) -> nn.Module:
        return self.pipeline.model

    @property
    def depth(self) -> int:
        return len(blocks_of(self.model))

    def passes(self, calibration: Calibration) -> list[CalibrationPass]:
        return calibration.passes(self.pipeline, self.data.open("train"), self.seed)

    def loss(self, passes: list[CalibrationPass], handlers: Mapping[str, Handler] | None = None) -> Tensor:
        return mean_loss(self.model, self.pipeline.process, passes, handlers)


@runtime_checkable
class BlockRanking(Protocol):
    """A registered value ("ranking/...")."""

    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        """One score a block; the `remove` lowest are to go."""
        ...


@runtime_checkable
class UnitRanking(Protocol):
    """A registered value ("ranking/...")."""

    def units(self, bench: Bench) -> dict[str, Float[Tensor, "u"]]:
        """One score a unit, by site."""
        ...


@register("ranking/random")
@dataclass(frozen=True, kw_only=True)
class Random:
    """By lot, drawn from the seed."""

    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        return _drawn(bench.seed, "blocks", bench.depth)

    def units(self, bench: Bench) -> dict[str, Float[Tensor, "u"]]:
        return {site: _drawn(bench.seed, site, count) for site, count in units_of(bench.model).items()}


@register("ranking/interval")
@dataclass(frozen=True, kw_only=True)
class Interval:
    """Blocks at equal distances go, the last of each run of them: half of 6 leaves 0, 2, 4."""

    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        scores = torch.ones(bench.depth)
        scores[[math.ceil((k + 1) * bench.depth / remove) - 1 for k in range(remove)]] = 0.0
        return scores


@register("ranking/magnitude")
@dataclass(frozen=True, kw_only=True)
class Magnitude:
    """The root mean square of the weights that belong to it: all parameters of a block; of a unit, the rows that write
    it and the columns that read it."""

    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        return torch.stack([_rms([p.detach().flatten() for p in b.parameters()]) for b in blocks_of(bench.model)])

    def units(self, bench: Bench) -> dict[str, Float[Tensor, "u"]]:
        return {
            site: torch.cat(weights_of_units(bench.model, site), dim=1).square().mean(1).sqrt()
            for site in units_of(bench.model)
        }


@register("ranking/sensitivity")
@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The loss on the calibration passes with the one block skipped."""

    calibration: Calibration = field(default_factory=Calibration)

    @torch.no_grad()
    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        passes = bench.passes(self.calibration)
        return torch.stack([bench.loss(passes, skip_blocks([i])) for i in range(bench.depth)])


@register("ranking/exhaustive")
@dataclass(frozen=True, kw_only=True)
class Exhaustive:
    """Every subset of blocks is skipped once; the one with the lowest loss on the calibration passes goes."""

    calibration: Calibration = field(default_factory=Calibration)

    @torch.no_grad()
    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        count = math.comb(bench.depth, remove)
        check(count <= MOST, "subsets to try", count, f"at most {MOST}; ranking/sensitivity skips one block at a time")
        passes = bench.passes(self.calibration)
        tried = {gone: float(bench.loss(passes, skip_blocks(gone))) for gone in combinations(range(bench.depth), remove)}
        scores = torch.ones(bench.depth)
        scores[list(min(tried, key=lambda gone: tried[gone]))] = 0.0
        return scores


@register("ranking/influence")
@dataclass(frozen=True, kw_only=True)
class Influence:
    """1 - cos(tokens before, tokens after) of a block, the mean over tokens and passes."""

    calibration: Calibration = field(default_factory=Calibration)

    @torch.no_grad()
    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        passes = bench.passes(self.calibration)
        found: list[list[Tensor]] = [[] for _ in range(bench.depth)]
        taps = {f"block[{i}]": _turn(found[i]) for i in range(bench.depth)}
        for one in passes:
            run_pass(bench.model, one, taps)
        return torch.stack([torch.cat(cosines).mean() for cosines in found]).neg().add(1.0)


@register("ranking/taylor")
@dataclass(frozen=True, kw_only=True)
class Taylor:
    """|d loss / d gate| with every gate at 1; squares are summed over passes, so signs do not cancel."""

    calibration: Calibration = field(default_factory=Calibration)

    def blocks(self, bench: Bench, remove: int) -> Float[Tensor, "m"]:
        return self._slopes(bench, {"blocks": bench.depth}, lambda g: gate_blocks(g["blocks"][None]))["blocks"]

    def units(self, bench: Bench) -> dict[str, Float[Tensor, "u"]]:
        return self._slopes(bench, units_of(bench.model), fixed_units)

    def _slopes(self, bench: Bench, sizes: Mapping[str, int], handlers) -> dict[str, Tensor]:
        gates = {name: torch.ones(n, device=bench.pipeline.device, requires_grad=True) for name, n in sizes.items()}
        total = {name: torch.zeros(n) for name, n in sizes.items()}
        with torch.enable_grad():
            for one in bench.passes(self.calibration):
                slopes = torch.autograd.grad(bench.loss([one], handlers(gates)), list(gates.values()))
                for name, slope in zip(gates, slopes, strict=True):
                    total[name] += slope.square().cpu()
        return {name: value.sqrt() for name, value in total.items()}


def _drawn(seed: int, purpose: str, count: int) -> Tensor:
    return Step(seed=seed, sample=torch.arange(count)).draw(f"ranking/{purpose}", (), "uniform").float()


def _rms(values: list[Tensor]) -> Tensor:
    return torch.cat(values).square().mean().sqrt()


def _turn(into: list[Tensor]):
    def handle(call, args, step):
        before: Tokens = args[0]
        after: Tokens = call(*args)
        into.append(torch.cosine_similarity(before.h, after.h, dim=-1).flatten())
        return after

    return handle

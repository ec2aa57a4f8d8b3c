"""Tile skips: attention leaves out tiles that earlier steps of the same generation found to add next to nothing.

LiteAttention (arXiv 2511.11062; facts from moonmath-ai/LiteAttention): one state per layer, guidance branch and shape,
kept over the steps of one run. Rows of a batch have states of their own, so a sample does not depend on its batch.
Keys that are not the state's own tokens (a joint context) are never skipped, where the original leaves such keys to a
second attention. Key ranges count as the original's: what must be skipped covers whole tiles only, and what must be
done every tile it touches (the original rounds both inwards).
Shapes: b batch, h heads, n queries, m keys, d width of a head, i query tiles, j key tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.base import Cache, Mounted
from frisket.caching.lines import signature
from frisket.caching.macs import MacCounter
from frisket.caching.report import Forward, Report
from frisket.caching.tile_choices import CITE, Growing, TileChoice
from frisket.caching.tile_kernels import KERNELS
from frisket.caching.tiles import Tile, attend_tiles, tile_excess, tile_gaps
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.core.sites import match
from frisket.core.step import Step
from frisket.models.attend import placed
from frisket.models.tokens import Tags

Ranges = tuple[tuple[int, int], ...]


@register("cache/tile-skips", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class TileSkips(Cache):
    """choice: which tiles are alive. tile: its size. sites: patterns of attention sites. must_do, must_skip: key ranges
    (first, end) whose tiles are always or never alive. kernel: "tiles", "gathered" or "flex"; all give one result. every:
    new marks are looked for at every `every`-th call (the calls between only skip)."""

    choice: TileChoice = Growing()
    tile: Tile = Tile()
    sites: tuple[str, ...] = ("block[:].attn.attend",)
    must_do: Ranges = ()
    must_skip: Ranges = ()
    kernel: str = "tiles"
    every: int = 1

    def __post_init__(self):
        if self.kernel not in KERNELS:
            raise unknown("kernel of tile skips", self.kernel, KERNELS)
        check(self.every >= 1, "tile_skips.every", self.every, "at least 1")
        for name in ("must_do", "must_skip"):
            ranges = getattr(self, name)
            check(all(len(r) == 2 and 0 <= r[0] < r[1] for r in ranges), name, ranges, "ranges (first, end) of keys")

    def mount(self, model: Any) -> Mounted:
        state = _State(self)
        sites = [site for pattern in self.sites for site in match(pattern, model.sites())]
        handlers: dict[str, Any] = {"model": state.model}
        return Mounted(handlers=handlers | {s: partial(state.attend, s) for s in sites}, report=state.report)

    def fixed(self, m: int, spared: Tensor | None) -> tuple[Bool[Tensor, "j"], Bool[Tensor, "j"]]:
        """Which of the key tiles over m keys are always alive, and which never. spared: keys (m,) never to be skipped.

        Raises `FrisketError` where a tile would be both, or none would be left.
        """
        size = self.tile.keys
        count = self.tile.counts(1, m)[1]
        do, skip = torch.zeros(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
        for first, end in self.must_do:
            do[first // size : -(-end // size)] = True
        for first, end in self.must_skip:
            skip[-(-first // size) : count if end >= m else end // size] = True
        if spared is not None:
            do[spared.nonzero()[:, 0].cpu() // size] = True
        clash = [int(j) for j in (do & skip).nonzero()[:, 0]]
        check(not clash, "must_do and must_skip", clash, "ranges that share no tile of keys")
        check(not bool(skip.all()), "must_skip", self.must_skip, f"ranges that leave some of the {m} keys")
        return do, skip


@dataclass
class Tally:
    """Tiles of some attention calls: computed, and in all."""

    alive: int = 0
    all: int = 0

    @property
    def density(self) -> float:
        return self.alive / max(1, self.all)


@dataclass(kw_only=True)
class TileReport(Report):
    """steps: the tally of each step. Only the multiply-adds of whole forwards are the report's `macs`; looking at scores
    before a call is not among them."""

    steps: dict[int, Tally] = field(default_factory=dict)

    def add(self, alive: Tensor, step: Step) -> None:
        """Count one attention."""
        tally = self.steps.setdefault(step.index, Tally())
        tally.alive += int(alive.sum())
        tally.all += alive.numel()

    @property
    def densities(self) -> list[float]:
        """Share of tiles computed at each step, in order."""
        return [self.steps[index].density for index in sorted(self.steps)]

    @property
    def density(self) -> float:
        """Share of tiles computed in all calls."""
        tallies = self.steps.values()
        return Tally(sum(t.alive for t in tallies), sum(t.all for t in tallies)).density


@dataclass
class _Held:
    """One guidance branch's state at one site: tiles alive (b, h, i, j) for these samples, how many calls there were,
    at which (step, call) the last, and whether it belonged to a run's last step."""

    sample: Tensor
    alive: Tensor
    calls: int = 0
    last: tuple[int, int] = (-1, -1)
    done: bool = False


@dataclass
class _State:
    """What the handlers of one mounted cache share: tiles alive by (run, site, branch, shape). costs: multiply-adds of a
    dense forward, by the shapes that go in. skipped, calls: of the forward that is running."""

    config: TileSkips
    held: dict[tuple[Any, ...], _Held] = field(default_factory=dict)
    report: TileReport = field(default_factory=TileReport)
    costs: dict[Any, float] = field(default_factory=dict)
    skipped: float = 0.0
    calls: int = 0

    def model(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of the site "model": keeps the books."""
        self.skipped, self.calls, key = 0.0, 0, signature(args)
        if key in self.costs:
            out = call(*args)
        else:
            with MacCounter() as counter:
                out = call(*args)
            self.costs[key] = counter.total + self.skipped
        report = self.report
        report.dense_macs += self.costs[key]
        report.macs += self.costs[key] - self.skipped
        report.bytes = max(report.bytes, sum(h.alive.numel() for h in self.held.values()))
        report.forwards.append(
            Forward(run=step.run, index=step.index, call=step.call, branch=step.branch, computed=self.calls, reused=0,
                    forecast=0)
        )  # fmt: skip
        return out

    def attend(self, site: str, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """The attention of `args` (those of `models.attend.attend`) over alive tiles; the plain call where a choice
        looks at nothing and skips nothing."""
        q, k, v, q_tags, k_tags, *rest = args
        q, k, bias = placed(q, k, q_tags, k_tags, *rest[:2])  # the kernel named last is not asked
        spared = _foreign(k_tags)
        branches = step.branch.split("+")
        if len(q) % len(branches):
            raise FrisketError(f"{len(q)} rows do not divide into the guidance branches {step.branch}")
        rows = len(q) // len(branches)
        parts = []
        for number, branch in enumerate(branches):
            part = slice(number * rows, (number + 1) * rows)
            at = step.at(sample=step.sample[part], branch=branch)
            parts.append(self._branch(site, q[part], k[part], v[part], _rows(bias, part), spared, at))
        if all(part is None for part in parts):
            return call(*args)
        cut = [slice(number * rows, (number + 1) * rows) for number in range(len(branches))]
        return torch.cat([
            scaled_dot_product_attention(q[c], k[c], v[c], attn_mask=_rows(bias, c)) if part is None else part
            for c, part in zip(cut, parts, strict=True)
        ])  # fmt: skip

    def _branch(
        self, site: str, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, spared: Tensor | None, step: Step
    ) -> Tensor | None:
        config, tile = self.config, self.config.tile
        held = self._held(site, q, k, step)
        looks = config.choice.looks(held.calls) if held.calls % config.every == 0 else ""
        do, skip = (side.to(q.device) for side in config.fixed(k.shape[2], spared))
        held.calls += 1
        if looks == "excess":
            held.alive = config.choice.next(held.alive, tile_excess(q, k, tile, bias), step)
        alive = (held.alive | do) & ~skip
        self.report.add(alive, step)
        self.calls += 1
        self.skipped += (
            float((~alive).sum()) / alive[0, 0].numel() * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])
        )
        if looks == "gaps" and config.kernel == "tiles":
            made = attend_tiles(q, k, v, alive, tile, bias)
            held.alive = config.choice.next(alive, made.gap, step)
            return made.out
        if looks == "gaps":
            held.alive = config.choice.next(alive, tile_gaps(q, k, alive, tile, bias), step)
        elif looks == "excess, later":
            held.alive = config.choice.next(alive, tile_excess(q, k, tile, bias), step)
        return None if bool(alive.all()) else KERNELS[config.kernel](q, k, v, alive, tile, bias)

    def _held(self, site: str, q: Tensor, k: Tensor, step: Step) -> _Held:
        """The branch's state; a new one for other samples, and when steps begin anew."""
        rows, columns = self.config.tile.counts(q.shape[2], k.shape[2])
        shape, now = (q.shape[0], q.shape[1], rows, columns), (step.index, step.call)
        key = (site, step.run, step.seed, step.branch, *q.shape, k.shape[2], q.dtype)
        held = self.held.get(key)
        if held is None or now <= held.last or not torch.equal(held.sample, step.sample):
            self.held = {k: h for k, h in self.held.items() if k[1:3] == key[1:3] or not h.done}
            first = self.config.choice.first(shape, step, site)
            held = self.held[key] = _Held(step.sample, first.to(q.device))
        held.last, held.done = now, step.index >= step.total - 1
        return held


def _foreign(tags: Tags) -> Bool[Tensor, "m"] | None:
    """Which keys are not the state's own; None where all are."""
    if tags.stream is None:
        return None
    foreign = tags.stream != 0
    return foreign if foreign.ndim == 1 else foreign.any(0)


def _rows(bias: Tensor | None, part: slice) -> Tensor | None:
    return bias if bias is None or len(bias) == 1 else bias[part]

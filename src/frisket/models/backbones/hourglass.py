"""A U of stages: blocks at several resolutions, down to a bottom and up again, each level joined to its own way down.

U-DiT (arXiv 2405.02730; facts from YuchuanTian/U-DiT udit_models.py). Stages are listed one by one, as many up as down;
between two of them tokens are merged to half the resolution or split to twice, and a stage on the way up reads what the
one at its level gave on the way down, joined by one linear layer. Conditions are embedded once for each distinct width,
and a stage is modulated by the vector of its own width. Official code drops labels in each of its tables independently
while training; here a label is dropped from a sample as a whole. All tokens of a sample have one time.
Shapes: b batch, n tokens, d width of a stage, w width of its condition vector (d again); `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.models.base import Keep
from frisket.models.block import Block, BlockModule
from frisket.models.doors import Door, Doors, counted
from frisket.models.grid import Grid
from frisket.models.init import build_real, linear
from frisket.models.layers.base import Embedder, Extras, Side, Sizes
from frisket.models.layers.convolutions import ConvolutionIn, ConvolutionOut, Merge, Split, as_map, as_tokens
from frisket.models.layers.embedders import Timestep
from frisket.models.layers.ends import Head, Input
from frisket.models.layers.maps import conv
from frisket.models.layers.modulation import AdaLNZero, Modulation, modulate, spread
from frisket.models.layers.norms import LayerNorm, Norm
from frisket.models.tokens import Tags, Tokens

CITE = (
    "Tian, Tu, Chen, Hu, Xu, Wang. U-DiTs: Downsample Tokens in U-Shaped Diffusion Transformers. 2024. arXiv:2405.02730"
)


@register("stage/blocks")
@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one width at one resolution."""

    width: int
    blocks: tuple[Block, ...]


@register("backbone/hourglass", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Hourglass:
    """stages: an odd number, the middle one at the lowest resolution; each side of the state is halved once a stage on
    the way down. heads: of every attention that names no other. doors: conditions, by vector or by channels. finish:
    side of the convolution in front of the final norm, 0 for none."""

    stages: tuple[Stage, ...]
    heads: int = 4
    input: Input = ConvolutionIn()
    output: Head = ConvolutionOut()
    time: Embedder = Timestep()
    doors: tuple[Door, ...] = ()
    finish: int = 3
    final_norm: Norm = LayerNorm()
    final_modulation: Modulation = AdaLNZero()

    def __post_init__(self):
        odd = len(self.stages) % 2 == 1
        check(odd, "model.stages", len(self.stages), "an odd number: as many down as up, and the bottom")
        ways = {door.way for door in self.doors} - {"vector", "channels"}
        check(not ways, "model.doors", sorted(ways), "by vector or by channels: a sequence has no resolution")

    @property
    def levels(self) -> int:
        """How many resolutions there are."""
        return len(self.stages) // 2 + 1

    def level(self, stage: int) -> int:
        """How often the resolution of a stage is halved."""
        return min(stage, len(self.stages) - 1 - stage)

    def grids(self, grid: Grid) -> tuple[Grid, ...]:
        """The grid of each level. Raises `FrisketError` on sides that cannot be halved so often."""
        times = 2 ** (self.levels - 1)
        check(all(a % times == 0 for a in grid.axes), "state", grid.axes, f"a multiple of {times} on each axis")
        return tuple(Grid.of(tuple(a // 2**i for a in grid.axes)) for i in range(self.levels))

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> Hourglass:
        """A copy for another state and other numbers of classes. Raises `FrisketError` on a state that is no image or
        cannot be halved."""
        inputs = self.input.fit(spec)
        self.grids(inputs.grid)
        return replace(
            self, input=inputs, output=self.output.fit(spec, channels_out), doors=counted(self.doors, classes)
        )

    def build(self) -> HourglassModel:
        """The module, with fresh weights of seed 0; under `torch.device("meta")` the structure alone."""
        return build_real(lambda: HourglassModel(self))


class HourglassModel(nn.Module):
    """A built `Hourglass`."""

    def __init__(self, config: Hourglass):
        super().__init__()
        self.config = config
        widths = [stage.width for stage in config.stages]
        first, *more = dict.fromkeys(widths)
        self.input = config.input.build(first, sum(_channels(door) for door in config.doors))
        self.doors, self.time = Doors(config.doors, first, first), config.time.build(first)
        vectors = tuple(door for door in config.doors if door.way == "vector")
        self.more = nn.ModuleDict({str(width): _Conditions(config.time, vectors, width) for width in more})
        grids = config.grids(config.input.grid)
        self.stages = nn.ModuleList(
            _Stage(
                stage,
                Sizes(width=stage.width, heads=config.heads, condition=stage.width, grid=grids[config.level(i)]),
                widths[i - 1] if i else None,
                widths[len(widths) - 1 - i] if i >= config.levels else None,
            )
            for i, stage in enumerate(config.stages)
        )
        last = widths[-1]
        self.finish = conv(last, last, config.finish) if config.finish else None
        self.final_norm = config.final_norm.build(last)
        self.final_modulation = config.final_modulation.build(last, last, 2)
        self.output = config.output.build(last, grids[0])
        self.tags_of: dict[Any, Tags] = {}

    def sites(self) -> list[str]:
        """Every addressable position of the call; blocks are numbered through all stages."""
        out, number = ["model", "embed"], 0
        for i, stage in enumerate(self.stages):
            out.append(f"stage[{i}]")
            for block in stage.blocks:  # type: ignore[union-attr]
                out += [f"block[{number}]", *block.sites(f"block[{number}]")]
                number += 1
        return [*out, "head"]

    def forward(
        self, x_t: Tensor, t: Tensor | None = None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        """x_t (b, c, h, w); t (b,), the network's own time.

        Raises `FrisketError` on condition names that no door reads or that are missing, spans, times that differ within
        a sample, and sides that cannot be halved.
        """
        self.doors.check(cond)
        for name in keep or ():
            raise FrisketError(f"keep names the span {name!r}, but every token of an hourglass passes every stage")
        check(t is None or t.ndim == 1, "axes of t", None if t is None else t.ndim, "1: one time a sample")
        at = Dispatch(self)
        return at("model", partial(self._call, at), x_t, t, cond, keep)

    def _call(
        self, at: Dispatch, x_t: Tensor, t: Tensor | None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        h, sides = at("embed", self.embed, x_t, t, cond)
        held, number = [], 0
        for i, stage in enumerate(self.stages):
            skip = held[len(self.stages) - 1 - i] if i >= self.config.levels else None
            before = sides[i - 1].grid if i else sides[0].grid
            run = partial(stage, sides[i], before, at, number, self._tags(sides[i].grid, x_t.device))
            h = at(f"stage[{i}]", run, h, skip)
            held.append(h)
            number += len(stage.blocks)  # type: ignore[arg-type]
        return sides[0].extras.on(at("head", self.head, h, sides[-1]))

    def embed(self, x_t: Tensor, t: Tensor | None, cond: Condition | None) -> tuple[Tensor, list[Side]]:
        """Features (b, n, d) of the state's tokens, and what travels beside them in each stage."""
        grid = self.config.input.grid_of(x_t)
        grids, extras = self.config.grids(grid), Extras(len(x_t))
        vectors = self._vectors(t, cond, x_t)
        sides = [
            Side(
                grid=grids[self.config.level(i)], state=grids[self.config.level(i)].tokens, raw=x_t,
                vector=vectors[stage.width], extras=extras,
            )
            for i, stage in enumerate(self.config.stages)
        ]  # fmt: skip
        return self.input(self.doors.joined(x_t, cond), grid), sides

    def head(self, h: Tensor, side: Side) -> Output:
        """The prediction from the last stage's features."""
        if self.finish is not None:
            h = as_tokens(self.finish(as_map(h, side.grid.axes)))
        h, numbers = self.final_norm(h), self.final_modulation(side)
        if numbers is not None:
            tags = self._tags(side.grid, h.device)
            h = modulate(h, *(spread(part, tags) for part in numbers.chunk(2, dim=-1)))
        return Output(self.output(h, side.grid))

    def tags(self, x_t: Tensor) -> Tags:
        """The tags of a state's tokens."""
        return self._tags(self.config.input.grid_of(x_t), x_t.device)

    def _tags(self, grid: Grid, device: torch.device) -> Tags:
        key = (grid, device)
        if key not in self.tags_of:
            with torch.inference_mode(False):  # kept for later passes, which may train
                self.tags_of[key] = Tags(n=grid.tokens, coords=grid.coords(device), extent=grid.axes)
        return self.tags_of[key]

    def _vectors(self, t: Tensor | None, cond: Condition | None, x_t: Tensor) -> dict[int, Tensor]:
        """The condition vector of each width, SiLU applied."""
        rows, device = len(x_t), x_t.device
        vector, more = self.time(t, rows, device), self.doors.vector(cond)
        out = {self.config.stages[0].width: vector if more is None else vector + more}
        out |= {int(width): level(t, cond, rows, device) for width, level in self.more.items()}
        return {width: nn.functional.silu(vector) for width, vector in out.items()}


class _Conditions(nn.Module):
    """Time and conditions as one vector of another width."""

    def __init__(self, time: Embedder, doors: tuple[Door, ...], width: int):
        super().__init__()
        self.time, self.doors = time.build(width), Doors(doors, width, width)

    def forward(self, t: Tensor | None, cond: Condition | None, rows: int, device: torch.device) -> Tensor:
        vector, more = self.time(t, rows, device), self.doors.vector(cond)
        return vector if more is None else vector + more


class _Stage(nn.Module):
    """The way in, then blocks. before: width of the stage in front. skip: width of the stage it is joined to."""

    def __init__(self, config: Stage, sizes: Sizes, before: int | None, skip: int | None):
        super().__init__()
        self.enter = self.join = None
        if skip is not None and before is not None:
            self.enter, self.join = Split(before, skip), linear(2 * skip, config.width)
        elif before is not None:
            self.enter = Merge(before, config.width)
        self.blocks = nn.ModuleList(block.build(sizes) for block in config.blocks)

    def forward(
        self, side: Side, before: Grid, at: Dispatch, number: int, tags: Tags, h: Tensor, skip: Tensor | None
    ) -> Tensor:
        h = h if self.enter is None else self.enter(h, before)
        if self.join is not None and skip is not None:
            h = self.join(torch.cat([h, skip], -1))
        tokens = Tokens(h, tags)
        for i, block in enumerate(self.blocks):
            site = f"block[{number + i}]"
            module: BlockModule = block  # type: ignore[assignment]
            tokens = at(site, partial(module, site, side, at, None), tokens)
        return tokens.h


def _channels(door: Door) -> int:
    return door.embedder.channels if door.way == "channels" else 0  # type: ignore[attr-defined]

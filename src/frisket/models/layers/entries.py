"""Entries of the state beside the grid: each is one vector, hence one token, read at the start and predicted at the end.

A class vector that is noised and denoised with the image is REG's (arXiv 2507.01467); facts from
SwayStar123/SpeedrunDiT models/sit.py: one linear layer and an RMS norm with a weight make the token, one linear layer on
the modulated last features predicts. The token stands behind those of the grid (in front of them there, which attention
does not see), belongs to the state, may be left out of a span like any other, and has no place: its coordinates are 0,
where rotary positions do not turn, and nothing is added to it.
Shapes: b batch, k entries, z numbers of an entry, d width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.state import MAIN, State
from frisket.models.init import ZEROS, linear
from frisket.models.layers.norms import Norm, RMSNorm


@runtime_checkable
class Entry(Protocol):
    """A registered value ("entry/..."). name: in the state. numbers: z, set by `fit`."""

    @property
    def name(self) -> str: ...

    @property
    def numbers(self) -> int: ...

    def build(self, width: int) -> nn.Module: ...


@register("entry/vector")
@dataclass(frozen=True, kw_only=True)
class Vector:
    """A vector of `numbers` features as one token. norm: of the embedded token."""

    name: str = "cls"
    numbers: int = 1
    norm: Norm | None = RMSNorm()

    def __post_init__(self):
        named = self.name.isidentifier() and self.name != MAIN
        check(named, "entry.name", self.name, f"an identifier other than {MAIN!r}")
        check(self.numbers >= 1, "entry.numbers", self.numbers, "at least 1")

    def build(self, width: int) -> nn.Module:
        return _Vector(self, width)


class _Vector(nn.Module):
    def __init__(self, config: Vector, width: int):
        super().__init__()
        self.embed = linear(config.numbers, width, role="input")
        self.norm = None if config.norm is None else config.norm.build(width)
        self.output = linear(width, config.numbers, law=ZEROS, role="output")

    def forward(self, x: Float[Tensor, "b z"]) -> Float[Tensor, "b d"]:
        h = self.embed(x)
        return h if self.norm is None else self.norm(h)


class Entries(nn.Module):
    """The built entries beside the grid, in order; () leaves a state of one tensor."""

    def __init__(self, configs: tuple[Entry, ...], width: int):
        super().__init__()
        names = [config.name for config in configs]
        check(len(set(names)) == len(names), "model.beside", names, "different names")
        self.numbers = {config.name: config.numbers for config in configs}
        self.vectors = nn.ModuleDict({config.name: config.build(width) for config in configs})

    def main(self, state: State) -> Tensor:
        """What the grid is cut from. Raises `FrisketError` on other entries than the model reads."""
        if not self.numbers and isinstance(state, Tensor):
            return state
        found = sorted(state) if isinstance(state, Mapping) else ["one tensor"]
        wanted = sorted([MAIN, *self.numbers]) if self.numbers else ["one tensor"]
        check(found == wanted, "entries of the state", ", ".join(found), ", ".join(wanted))
        for name, numbers in self.numbers.items():
            check(
                tuple(state[name].shape[1:]) == (numbers,),
                f"shape of {name!r}",
                tuple(state[name].shape),
                f"(b, {numbers})",
            )
        return state[MAIN]

    def forward(self, state: State, h: Float[Tensor, "b n d"]) -> Float[Tensor, "b m d"]:
        """The tokens h of the grid with those of the entries behind them."""
        if not self.numbers:
            return h
        more = [vector(state[name]).unsqueeze(1).to(h.dtype) for name, vector in self.vectors.items()]
        return torch.cat([h, *more], 1)

    def read(self, grid: Tensor, h: Float[Tensor, "b k d"]) -> State:
        """The prediction: that of the grid alone, or with it one for each entry from its last features."""
        if not self.numbers:
            return grid
        return {MAIN: grid} | {name: v.output(h[:, i]) for i, (name, v) in enumerate(self.vectors.items())}  # type: ignore[operator]


def fitted(held: tuple[Entry, ...], wanted: Mapping[str, tuple[int, ...]]) -> tuple[Entry, ...]:
    """Entries for a state with these shapes beside the grid: those that are configured, else `Vector`; entries that the
    state lacks are left out. Raises `FrisketError` on an entry that is no vector."""
    own = {entry.name: entry for entry in held}
    out = []
    for name, shape in wanted.items():
        if len(shape) != 1:
            raise FrisketError(f"entry {name!r} has the shape {shape}; beside the grid a model reads vectors (z,)")
        out.append(replace(own.get(name, Vector(name=name)), numbers=shape[0]))  # type: ignore[type-var]
    return tuple(out)

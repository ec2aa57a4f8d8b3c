"""What the layers promise each other: sizes to build from, and what a branch is given beside its tokens.

Shapes: b batch, n tokens, d width, w width of the condition vector, k distinct times of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, unknown
from frisket.core.sites import Dispatch
from frisket.models.attend import Placing
from frisket.models.grid import Grid
from frisket.models.tokens import Tags, Tokens


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """width: of a token. heads: of attention, unless a branch names its own. condition: width of the condition vector.
    grid: the state's own."""

    width: int
    heads: int
    condition: int
    grid: Grid


@dataclass
class Extras:
    """What blocks give beside features in one pass, added up over blocks by name. losses: scalar terms, already
    weighted. aux: numbers a row of the whole batch of `rows`, (rows,)."""

    rows: int
    losses: dict[str, Tensor] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)

    def on(self, output: Output) -> Output:
        """`output` with these. Raises `FrisketError` if it has one of that name already."""
        for name in (*(self.losses.keys() & output.losses.keys()), *(self.aux.keys() & output.aux.keys())):
            raise FrisketError(f"a block and the head both give {name!r}; one needs another name")
        return Output(output.pred, {**output.aux, **self.aux}, {**output.losses, **self.losses})


@dataclass
class Side:
    """What travels beside the tokens through one forward pass.

    grid: of this state. state: number of its tokens (they come first). vector: the condition (b, w), or (b, k, w) with
    each token's `time` tag choosing one of k; SiLU already applied. plain: the same without the SiLU. shared: what
    modulations that share weights have computed from it. context: other token sequences, by the name of their
    condition. raw: the input as it came. phase: which of several passes through the same blocks this is.
    """

    grid: Grid
    state: int
    raw: Tensor
    vector: Tensor | None = None
    plain: Tensor | None = None
    shared: dict[str, Tensor] = field(default_factory=dict)
    context: Mapping[str, Tokens] = field(default_factory=dict)
    phase: int = 0
    memo: dict[tuple[Tags, Tags], Tags] = field(default_factory=dict, repr=False)
    own: Tensor | None = None
    extras: Extras = field(default_factory=lambda: Extras(0))

    def __post_init__(self):
        self.extras.rows = self.extras.rows or len(self.raw)

    def lose(self, name: str, term: Float[Tensor, ""]) -> None:
        """Add a loss term of the model's own: scalar, already weighted, added up over blocks."""
        losses = self.extras.losses
        losses[name] = losses[name] + term if name in losses else term

    def note(self, name: str, value: Float[Tensor, "b"]) -> None:
        """Add a number a row to the further outputs `aux[name]`, added up over blocks; 0 in rows that are not here."""
        if self.own is not None:
            value = value.new_zeros(self.extras.rows).index_add(0, self.own, value)
        aux = self.extras.aux
        aux[name] = aux[name] + value if name in aux else value

    def read(self, name: str | None) -> Tokens:
        """The context sequence `name`, or all of them one behind the other. Raises if there is none."""
        if name is not None and name in self.context:
            return self.context[name]
        if name is not None or not self.context:
            raise unknown("context", name, self.context)
        return Tokens.cat(list(self.context.values()))

    def rows(self, rows: Tensor) -> Side:
        """What travels beside some of the rows."""
        return Side(
            grid=self.grid, state=self.state, raw=self.raw[rows],
            vector=None if self.vector is None else self.vector[rows],
            plain=None if self.plain is None else self.plain[rows],
            shared={key: value[rows] for key, value in self.shared.items()},
            context={name: tokens.rows(rows) for name, tokens in self.context.items()},
            own=rows if self.own is None else self.own[rows], extras=self.extras, phase=self.phase,
        )  # fmt: skip

    def joined(self, tokens: Tokens, context: Tokens) -> Tags:
        """The tags of tokens followed by context, made once a pass."""
        key = (tokens.tags, context.tags)
        if key not in self.memo:
            self.memo[key] = Tags.cat(key, len(tokens.h), tokens.h.device)
        return self.memo[key]


@dataclass(frozen=True, slots=True)
class BranchCall:
    """One call of one branch: the pass it belongs to, the dispatcher, its `attend` site, its position part, the site of
    its hidden units, and its own."""

    side: Side
    at: Dispatch
    attend_site: str
    positions: Placing | None
    hidden_site: str = ""
    place: str = ""

    def inside(self, name: str) -> str:
        """The site `name` inside the branch. A mixer lists such names in `places`."""
        return self.at.inside(self.place, name)


@runtime_checkable
class Mixer(Protocol):
    """A registered value ("mixer/...", "ffn/..."). Its module is called as `module(tokens, call)` with normalised and
    modulated tokens and returns features (b, n, d)."""

    def build(self, sizes: Sizes) -> nn.Module: ...


@runtime_checkable
class Embedder(Protocol):
    """A registered value ("embedder/..."). `gives` says what its module returns for a raw value and its dropped rows:
    "vector" (b, d), "tokens" (a `Tokens`) or "image" (b, c, *grid)."""

    gives: ClassVar[str]

    def build(self, width: int) -> nn.Module: ...


def whole_grid(tokens: Tokens, side: Side, part: str) -> Grid:
    """The grid of the state, for a mixer that needs all of its tokens in raster order.

    Raises `FrisketError` naming `part` where tokens are missing, stand in another order, have others behind them, or
    are padding.
    """
    grid, tags = side.grid, tokens.tags
    why = ""
    if tags.n < grid.tokens:
        why = f"is given {tags.n} of them: leave no tokens out of its blocks (plans, caches and regions do)"
    elif tags.n > grid.tokens:
        why = f"is given {tags.n}: let a condition come in by another door than `tokens`"
    elif not _in_order(tags):
        why = "is given them in another order: name kept tokens in raster order"
    elif tags.valid is not None and not tags.valid.is_meta and not bool(tags.valid.all()):
        why = "is given padding among them"
    if why:
        raise FrisketError(f"{part} needs the {grid.tokens} tokens of the whole grid, and {why}")
    return grid


def _in_order(tags: Tags) -> bool:
    if tags.index is None or tags.index.is_meta:
        return True
    return bool((tags.index == torch.arange(tags.n, device=tags.index.device)).all())

"""What the `codecs` room promises: data <-> state. A codec never sees a time or a noise.

A codec config registers as "codec/..." and is built once with `build()`; those without weights build to themselves.
`fit(source)` returns a config with statistics filled in, so they are saved with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from frisket.core.state import MAIN, Shape, State
from frisket.data.base import Info, Source, Stream


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Facts of a state. shape: of one item: (c, h, w), (c, l), or (n,) for ids. vocabulary: number of ids, None when
    continuous. symbols: how many symbols the ids of the last axis spell together, as digits in base `vocabulary`; None
    where each id is a symbol by itself. beside: shapes of further entries; where there are some, a state is a dict of
    them and of "x", whose facts the other fields are."""

    kind: Literal["continuous", "ids"]
    shape: tuple[int, ...]
    vocabulary: int | None = None
    symbols: int | None = None
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def shapes(self) -> Shape:
        """The shape of a state, or of each entry by name."""
        return {MAIN: self.shape, **self.beside} if self.beside else self.shape


class Codec(Protocol):
    """A built codec. One whose states are no grid of cells also says which elements a region of the data touches
    (`touched`, see `sampling.regions`)."""

    def encode(self, x: Any, draw: Tensor | None = None) -> State:
        """Data to state (b, ...), or a dict of entries; `draw` (standard normal, shaped as "x") samples the posterior,
        None takes its mode."""
        ...

    def decode(self, state: State) -> Any:
        """State to data, in the data's own range; differentiable where the data is."""
        ...

    def spec(self, info: Info) -> Spec: ...


class CodecConfig(Protocol):
    """A registered value that builds a codec."""

    def fit(self, source: Source | Stream) -> CodecConfig: ...

    def build(self) -> Codec: ...

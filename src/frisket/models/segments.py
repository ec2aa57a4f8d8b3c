"""Tokens of several items in one sequence: scenes of a film one behind the other, and to each a prompt of its own.

The `segment` tag names the item. What comes in-sequence and belongs to an item of the state is told that item's time,
so that the prompt of a clean scene is modulated as the scene is.
Shapes: b batch, n tokens of the state, m further tokens, l tokens of one prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Int
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.layers.base import Embedder
from frisket.models.layers.embedders import TextIds
from frisket.models.layers.ends import Input, Patches
from frisket.models.tokens import Tags, Tokens


@register("input/segmented")
@dataclass(frozen=True, kw_only=True)
class Segmented:
    """Another input, whose state is `count` equal items one behind the other on its first axis."""

    of: Input = Patches()
    count: int = 3

    def __post_init__(self):
        check(self.count >= 1, "input.count", self.count, "at least 1")

    @property
    def grid(self) -> Grid:
        return self.of.grid

    def grid_of(self, x: Tensor) -> Grid:
        return self.of.grid_of(x)

    def segments(self, grid: Grid) -> Int[Tensor, "n"]:
        """The item of each token. Raises `FrisketError` if the first axis does not divide."""
        check(grid.axes[0] % self.count == 0, "input.count", self.count, f"a divisor of the first axis of {grid.axes}")
        return runs(grid.tokens, self.count)

    def fit(self, spec: Spec) -> Segmented:
        fitted = replace(self, of=self.of.fit(spec))
        _ = fitted.segments(fitted.grid)  # raises if the items are not equal
        return fitted

    def build(self, width: int, extra_channels: int) -> nn.Module:
        return self.of.build(width, extra_channels)


@register("embedder/prompts")
@dataclass(frozen=True, kw_only=True)
class Prompts:
    """`count` prompts of equal length in one row, embedded by another embedder, each the prompt of one item of the
    state. What fills a prompt up is read like words (as Tianhao-Qi/Mask2DiT does)."""

    gives: ClassVar[str] = "tokens"
    of: Embedder = TextIds()
    count: int = 3

    def __post_init__(self):
        check(self.count >= 1, "embedder.count", self.count, "at least 1")
        check(self.of.gives == "tokens", "embedder.of", self.of.gives, "an embedder that gives tokens")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one raw value."""
        return self.of.shape  # type: ignore[attr-defined]

    def fit(self, spec: Spec, pad: int | None) -> Prompts:
        """A copy for rows as a reader gives them. Raises `FrisketError` on a length that does not divide."""
        check(spec.shape[0] % self.count == 0, "embedder.count", self.count, f"a divisor of {spec.shape[0]} words")
        fits = getattr(self.of, "fit", None)
        return self if fits is None else replace(self, of=fits(spec, pad))

    def build(self, width: int) -> nn.Module:
        return _Prompts(self.of.build(width), self.count)


class _Prompts(nn.Module):
    def __init__(self, inner: nn.Module, count: int):
        super().__init__()
        self.inner, self.count = inner, count

    def forward(self, value: Tensor, drop: Tensor | None) -> Tokens:
        made: Any = self.inner(value, drop)
        tokens = made if isinstance(made, Tokens) else Tokens.of(made)
        check(tokens.tags.n % self.count == 0, "tokens of the prompts", tokens.tags.n, f"a multiple of {self.count}")
        own = runs(tokens.tags.n, self.count).to(tokens.h.device)
        return Tokens(tokens.h, tokens.tags.change(segment=own, valid=None))


def runs(n: int, count: int) -> Int[Tensor, "n"]:
    """0, 0, ..., 1, 1, ...: n tokens in `count` equal runs."""
    return torch.arange(count).repeat_interleave(n // count)


def timed(tokens: Tokens, state: Tags, index: Int[Tensor, "*b n"]) -> Tokens:
    """Tokens beside the state, told the time of their item. index: each token of the state's place among the distinct
    times. Left as they are: tokens that belong to no item, or that have a time of their own."""
    own = tokens.tags
    if state.segment is None or own.segment is None or own.time is not None:
        return tokens
    first = (state.segment == own.segment.unsqueeze(-1)).int().argmax(-1)  # (m,)
    return Tokens(tokens.h, own.change(time=index[..., first]))

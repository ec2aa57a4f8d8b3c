"""An embedder of a grid of ids, read by plain blocks of its own: the low-resolution ids of a super-resolution stage.

Source: Muse (arXiv 2301.00704, section 2.5): the finished low-resolution tokens pass self-attention layers, and what
comes out is read beside the text by cross-attention. Left open: the positions of the low grid; learned here, as those of
the state are. Shapes: b batch, n tokens of the grid, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.models.block import Block
from frisket.models.grid import Grid
from frisket.models.init import Normal, embedding, parameter
from frisket.models.layers.base import Side, Sizes
from frisket.models.layers.positions import Learned, Positions
from frisket.models.tokens import Tags, Tokens


@register("embedder/grid-ids")
@dataclass(frozen=True, kw_only=True)
class GridIds:
    """Ids int64 (b, *size) in [0, vocabulary), with positions of their own, through `blocks` that nothing modulates.
    The null is one learned vector at every place. heads: of the blocks' attention."""

    gives: ClassVar[str] = "tokens"
    vocabulary: int = 256
    size: tuple[int, ...] = (8, 8)
    heads: int = 4
    positions: Positions = Learned()
    blocks: tuple[Block, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one raw value."""
        return self.size

    def fit(self, spec: Spec, pad: int | None) -> GridIds:
        """A copy for ids as a reader gives them. Raises `FrisketError` on anything but ids."""
        check(spec.kind == "ids", "what embedder/grid-ids reads", spec.kind, "ids")
        return replace(self, vocabulary=spec.vocabulary or self.vocabulary, size=tuple(spec.shape))

    def build(self, width: int) -> nn.Module:
        return _GridIds(self, width)


class _GridIds(nn.Module):
    null: Tensor

    def __init__(self, config: GridIds, width: int):
        super().__init__()
        self.grid = Grid.of(config.size, 1)
        sizes = Sizes(width=width, heads=config.heads, condition=width, grid=self.grid)
        self.table = embedding(config.vocabulary, width)
        parameter(self, "null", (width,), Normal(0.02), "embedding")
        self.positions = config.positions.build(sizes)
        self.blocks = nn.ModuleList([block.build(sizes) for block in config.blocks])

    def forward(self, value: Int[Tensor, "b *size"], drop: Bool[Tensor, "b"] | None) -> Tokens:
        h = self.table(self.grid.flatten(value))
        if drop is not None:
            h = torch.where(drop[:, None, None], self.null, h)
        tags = Tags(n=self.grid.tokens, coords=self.grid.coords(h.device), extent=self.grid.axes)
        tokens = Tokens(self.positions(h, tags), tags)
        at, side = Dispatch(self), Side(grid=self.grid, state=self.grid.tokens, raw=value)
        for block in self.blocks:
            tokens = block("", side, at, self.positions.placing, tokens)
        return Tokens.of(tokens.h, coords=tags.coords)

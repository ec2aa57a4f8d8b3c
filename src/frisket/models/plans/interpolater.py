"""A side block fills in the tokens that did not pass: MDT's interpolater.

MDT (arXiv 2303.14389; facts from sail-sg/MDT masked_diffusion/models.py, both branches): behind the encoder the tokens
left out are one mask token, a second trained position table is added to all of them, and one block that is no part of
the network looks at all tokens; those left out take its result, the others stay. In a dense pass the positions are added
and the block is not run.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.registry import register
from frisket.models.block import Block, BlockModule
from frisket.models.init import Normal, parameter
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import Sinusoids
from frisket.models.plans.base import Choose, Draws, Span, SpanEnd
from frisket.models.plans.choose import Uniform
from frisket.models.tokens import Tags

CITE = "Gao, Zhou, Cheng, Yan. Masked Diffusion Transformer is a Strong Image Synthesizer. 2023. arXiv:2303.14389"


@register("return/side", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Side:
    """block: the side block. std: of the mask token's start."""

    block: Block = Block()
    std: float = 0.02

    def build(self, sizes: Sizes) -> nn.Module:
        return _Side(self, sizes)


@register("plan/interpolater", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Interpolated(Draws):
    """The encoder, all blocks but the last `decoder`, sees the tokens chosen; the decoder sees all."""

    decoder: int = 2
    block: Block = Block()
    choose: Choose | None = Uniform(drop=0.3, floor="kept")

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Span(name="encoder", low=0, high=-self.decoder, back=Side(block=self.block), choose=self.choose),)


class _Side(nn.Module):
    token: Tensor
    table: Tensor

    def __init__(self, config: Side, sizes: Sizes):
        super().__init__()
        parameter(self, "token", (sizes.width,), Normal(config.std), "vector")
        parameter(self, "table", (sizes.grid.tokens, sizes.width), Sinusoids(sizes.grid), "embedding")
        self.block = BlockModule(config.block, sizes)

    def forward(self, end: SpanEnd) -> Float[Tensor, "b n d"]:
        h, before = end.over(self.token.to(end.before.h.dtype).expand_as(end.before.h)), end.before
        h = h + self._places(before.tags, h)
        if end.inner is not None and end.kept is None:
            return h
        filled = self.block("side", end.side, end.at, end.positions, before.with_h(h)).h
        if end.kept is None:  # nobody passed
            return filled
        return torch.where(end.kept.where(len(h), h.shape[1])[..., None], h, filled.to(h.dtype))

    def _places(self, tags: Tags, h: Tensor) -> Tensor:
        """Each token's place; zeros for tokens that are none of the state's."""
        if tags.index is None and tags.n == len(self.table):
            return self.table
        index = tags.batched("index", len(h), h.device)
        return nn.functional.pad(self.table, (0, 0, 0, 1))[index.clamp(max=len(self.table))]

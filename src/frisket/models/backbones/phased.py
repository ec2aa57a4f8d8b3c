"""A stack of blocks that one or several phases pass through, each phase with positions of its own.

Under `modulation/phases` a phase has an embedding, from which one layer makes numbers for all blocks (Hi-MAR, arXiv
2505.20288); other blocks know nothing of phases.
Shapes: b batch, n places of a phase, m tokens that pass, w width, p phases.
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from frisket.core.sites import Dispatch
from frisket.models.block import Block
from frisket.models.grid import Grid
from frisket.models.init import Normal, embedding, parameter
from frisket.models.layers.base import Side, Sizes
from frisket.models.layers.modulation import shared_key
from frisket.models.layers.norms import Norm
from frisket.models.tokens import Tags, Tokens


class PhasedStack(nn.Module):
    """Blocks and the norm behind them."""

    places: Tensor

    def __init__(self, blocks: tuple[Block, ...], width: int, heads: int, phases: int, places: int, norm: Norm):
        super().__init__()
        self.grid, self.count = Grid.of((places,)), places
        sizes = Sizes(width=width, heads=heads, condition=width, grid=self.grid)
        parameter(self, "places", (phases * places, width), Normal(0.02), "embedding")
        self.shared = nn.ModuleDict()
        for block in blocks:
            key, made = shared_key(block.modulation, block.numbers), None
            if key not in self.shared:
                made = block.modulation.build_shared(width, width, block.numbers)
            if made is not None:
                self.shared[key] = made
        self.phases = embedding(phases, width) if len(self.shared) else None
        self.blocks = nn.ModuleList([block.build(sizes) for block in blocks])
        self.norm = norm.build(width)

    def places_of(self, k: int) -> Float[Tensor, "n w"]:
        """Phase k's own positions."""
        return self.places[k * self.count : (k + 1) * self.count]

    def sites(self, k: int, first: int) -> list[str]:
        """Of phase k, the blocks numbered from `first`."""
        out = []
        for i, block in enumerate(self.blocks, first):
            out += [site(k, i), *block.sites(site(k, i))]  # type: ignore[operator]
        return out

    def forward(
        self, k: int, h: Float[Tensor, "b m w"], valid: Bool[Tensor, "b m"] | None, at: Dispatch, first: int
    ) -> Float[Tensor, "b m w"]:
        """All blocks in phase k, then the norm. valid: real tokens, None where all are."""
        side = Side(grid=self.grid, state=h.shape[1], raw=h, phase=k)
        if self.phases is not None:
            side.vector = nn.functional.silu(self.phases.weight[k : k + 1])
            side.shared = {key: module(side.vector) for key, module in self.shared.items()}
        tokens = Tokens(h, Tags(n=h.shape[1], valid=valid))
        for i, block in enumerate(self.blocks, first):
            tokens = at(site(k, i), partial(block, site(k, i), side, at, None), tokens)
        return self.norm(tokens.h)


def site(k: int, i: int) -> str:
    """The site of block i in phase k."""
    return f"block[{i}]" if k == 0 else f"phase[{k}].block[{i}]"


def compact(kept: Bool[Tensor, "b n"]) -> tuple[Int[Tensor, "b m"], Bool[Tensor, "b m"] | None]:
    """The numbers of the kept tokens in order, padded with others where rows keep fewer than the most; and which are
    real, None if all are. On meta, where nothing is known, everybody."""
    ids = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
    if kept.is_meta:
        return ids, None
    counts = kept.sum(1)
    most = int(counts.max())
    ids = ids[:, :most]
    return ids, None if bool((counts == most).all()) else torch.arange(most, device=ids.device) < counts[:, None]

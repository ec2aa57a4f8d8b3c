"""Attention through proxies: one token stands for each box of the grid, and only these few look at each other.

PT-DiT (arXiv 2409.04005; facts from Ascend/MindSpeed-MM pt_dit_diffusers.py): the proxy of a box is the mean of its
tokens; proxies attend to proxies and are added to what they were; then every token reads all proxies by cross-attention.
One branch does both, because what proxies become in between is read by nobody else. The branch has no norm of its own,
since the mean is over the residual tokens as they are; the three norms are here.
Shapes: b batch, n tokens, w boxes, p tokens of a box, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.base import BranchCall, Sizes, whole_grid
from frisket.models.layers.norms import LayerNorm, Norm
from frisket.models.layers.windows import Box, Cut, box_of, cut_of
from frisket.models.tokens import Tags, Tokens

NAME = "proxies"


@register("mixer/proxies")
@dataclass(frozen=True, kw_only=True)
class Proxies:
    """size: of a box, in tokens (one number for all axes, or one an axis; a divisor of the grid's). pick: the mean of a
    box, or its first token. among: attention of the proxies. norm: of the proxies, of what tokens ask and of what they
    read; a branch with this mixer has none. It reads the whole grid in raster order."""

    size: Box = 4
    pick: Literal["mean", "first"] = "mean"
    among: Attention = Attention()
    read: Cross = Cross(reads=NAME)
    norm: Norm = LayerNorm()

    def __post_init__(self):
        check(self.pick in ("mean", "first"), "proxies.pick", self.pick, "'mean' or 'first'")
        check(self.read.reads == NAME, "proxies.read.reads", self.read.reads, repr(NAME))

    def build(self, sizes: Sizes) -> nn.Module:
        box_of(self.size, sizes.grid, "proxies.size")
        return _Proxies(self, sizes)


class _Proxies(nn.Module):
    attends = True
    places = (NAME,)

    def __init__(self, config: Proxies, sizes: Sizes):
        super().__init__()
        self.size, self.pick = config.size, config.pick
        self.norm_among, self.norm_asked, self.norm_read = (config.norm.build(sizes.width) for _ in range(3))
        self.among, self.read = config.among.build(sizes), config.read.build(sizes)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        grid = whole_grid(tokens, call.side, "mixer/proxies")
        proxies = self._chosen(tokens, cut_of(tokens, grid, self.size))
        inner = replace(call, attend_site=call.inside(NAME))
        h = proxies.h + self.among(proxies.with_h(self.norm_among(proxies.h)), inner)
        side = replace(call.side, context={NAME: proxies.with_h(self.norm_read(h))})
        return self.read(tokens.with_h(self.norm_asked(tokens.h)), replace(call, side=side))

    def _chosen(self, tokens: Tokens, cut: Cut) -> Tokens:
        """One token a box, where its box is."""
        b, boxes = len(tokens.h), cut.lay(tokens.h)
        h = boxes.h.mean(1) if self.pick == "mean" else boxes.h[:, 0]
        return Tokens(h.reshape(b, -1, h.shape[-1]), self._tags(tokens.tags, cut, b))

    def _tags(self, whole: Tags, cut: Cut, b: int) -> Tags:
        key = (NAME, self.size, self.pick, b, cut.order.device)
        if key not in whole.memo:
            coords = cut.tags.coords
            if coords is not None:
                coords = coords.float().mean(1) if self.pick == "mean" else coords[:, 0]
                coords = coords.reshape(b, -1, coords.shape[-1])
            with torch.inference_mode(False):  # kept for later passes, which may train
                whole.memo[key] = Tags(n=whole.n // cut.tags.n, coords=coords)
        return whole.memo[key]

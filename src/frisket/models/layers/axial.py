"""Attention along some axes of the grid alone: over the frames at one place, or over the places of one frame.

VDT (arXiv 2305.13311; facts from RERV/VDT models.py) alternates the two; t frames of n places cost n t^2 + t n^2 products
in place of (t n)^2. The result is that of full attention under a mask that allows only tokens with equal other
coordinates, without computing what it hides. Needs the tokens of the whole grid in raster order.
Shapes: b batch, n tokens, m lines, k tokens of a line, d width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import linear
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Mixer, Sizes
from frisket.models.tokens import Tags, Tokens

CITE = "Lu et al. VDT: General-purpose Video Diffusion Transformers via Mask Modeling. 2023. arXiv:2305.13311"


@register("mixer/axial", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Axial:
    """`attention` among the tokens that differ only on the axes `along` (0: the first, the frames of a video)."""

    along: tuple[int, ...] = (0,)
    attention: Attention = Attention()

    def __post_init__(self):
        rising = list(self.along) == sorted(set(self.along)) and min(self.along, default=-1) >= 0
        check(rising, "mixer.along", self.along, "one or more axes, in order")

    def build(self, sizes: Sizes) -> nn.Module:
        last = len(sizes.grid.axes) - 1
        check(self.along[-1] <= last, "mixer.along", self.along, f"axes of the state, 0 to {last}")
        return _Axial(self, sizes)


@register("mixer/projected")
@dataclass(frozen=True, kw_only=True)
class Projected:
    """Another mixer, and one more linear layer behind it (VDT's temporal attention, where no gate starts at zero)."""

    mixer: Mixer = Axial()

    def build(self, sizes: Sizes) -> nn.Module:
        return _Projected(self.mixer.build(sizes), linear(sizes.width, sizes.width))


class _Axial(nn.Module):
    attends = True

    def __init__(self, config: Axial, sizes: Sizes):
        super().__init__()
        self.along = config.along
        self.attention = config.attention.build(sizes)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        axes, b = _whole(tokens.tags), len(tokens.h)
        order = [i for i in range(len(axes)) if i not in self.along] + list(self.along)
        k = math.prod(axes[i] for i in self.along)
        split = tokens.h.unflatten(1, axes).permute(0, *(1 + i for i in order), len(axes) + 1)
        lines = Tokens(split.reshape(-1, k, tokens.h.shape[-1]), self._tags(tokens.tags, axes, order, k, b))
        made = self.attention(lines, call).reshape(b, *(axes[i] for i in order), -1)
        back = [1 + order.index(i) for i in range(len(axes))]
        return made.permute(0, *back, len(axes) + 1).flatten(1, -2)

    def _tags(self, tags: Tags, axes: tuple[int, ...], order: list[int], k: int, b: int) -> Tags:
        """The tags of a line: places on the axes along it, which all lines share, and who is valid in each."""
        valid, key = tags.valid, ("axial", self.along, b)
        if key in tags.memo:
            return tags.memo[key]
        coords, own = tags.coords, None
        with torch.inference_mode(False):  # kept for later passes, which may train
            if valid is not None:
                split = tags.batched("valid", b).unflatten(1, axes)
                own = split.permute(0, *(1 + i for i in order)).reshape(-1, k)
            if coords is not None:
                coords = coords.unflatten(0, axes).permute(*order, len(axes)).reshape(-1, k, coords.shape[-1])[0]
            return tags.memo.setdefault(key, Tags(n=k, coords=coords, valid=own, whole=tags.whole))


class _Projected(nn.Module):
    def __init__(self, mixer: nn.Module, layer: nn.Linear):
        super().__init__()
        self.mixer, self.linear = mixer, layer
        for name in ("attends", "hides"):
            if hasattr(mixer, name):
                setattr(self, name, True)

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        return self.linear(self.mixer(tokens, call))


def _whole(tags: Tags) -> tuple[int, ...]:
    """The axes of the grid that these tokens are. Raises `FrisketError` on some of its tokens, or more than them."""
    if tags.extent is None:
        raise FrisketError(
            f"attention along an axis needs the tokens of a whole grid; of {tags.n} tokens some are left out or are "
            "no part of it"
        )
    return tags.extent

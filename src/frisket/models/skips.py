"""Long skips: a block reads what an earlier block gave, joined to its own input by one linear layer.

U-ViT's and MDTv2's (arXiv 2303.14389; facts from sail-sg/MDT masked_diffusion/models.py): linear([x, skip]) in front of
the block. Skips go by block number; -1 is the embedded input. Where fewer tokens pass, a skip from outside the span is
gathered with them; one that leaves a span is refused, since most of its tokens would not exist.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import linear
from frisket.models.plans.base import Kept
from frisket.models.tokens import Tokens, gather


@register("skip/linear")
@dataclass(frozen=True, kw_only=True)
class LongSkip:
    """From the output of block `source` (-1: the embedded input) to the input of block `target`."""

    source: int
    target: int

    def __post_init__(self):
        check(-1 <= self.source < self.target, "skip (source, target)", (self.source, self.target), "-1 <= s < t")


def u_shape(half: int) -> tuple[LongSkip, ...]:
    """Skips of 2 `half` blocks folded at the middle: the last of the first half feeds the first of the second, which
    so receives its own input twice, as MDTv2's does."""
    return tuple(LongSkip(source=half - 1 - i, target=half + i) for i in range(half))


class Skips(nn.Module):
    """The built skips of a model, by target."""

    def __init__(self, skips: Sequence[LongSkip], width: int, depth: int, runs: Mapping[str, tuple[int, int]]):
        super().__init__()
        targets = [skip.target for skip in skips]
        check(len(set(targets)) == len(targets), "skips", targets, "one a target")
        for skip in skips:
            check(skip.target < depth, "skip.target", skip.target, f"below the {depth} blocks")
            for name, (low, high) in runs.items():
                if low <= skip.source < high <= skip.target:
                    raise FrisketError(f"the skip from block {skip.source} to {skip.target} leaves the span {name!r}")
        self.source = {skip.target: skip.source for skip in skips}
        self.linears = nn.ModuleDict({str(target): linear(2 * width, width) for target in sorted(targets)})

    def start(self) -> Held:
        """What one pass remembers."""
        return Held(sources=set(self.source.values()), held={})

    def join(self, i: int, tokens: Tokens, held: Held, kept: Kept | None) -> Tokens:
        """The input of block i, with its skip where it has one."""
        if i not in self.source:
            return tokens
        skip = held.at(self.source[i], kept)
        return tokens.with_h(self.linears[str(i)](torch.cat([tokens.h, skip.to(tokens.h.dtype)], -1)))


@dataclass(frozen=True)
class Held:
    """Features of one pass that later blocks read, each with the tokens it was made for."""

    sources: set[int]
    held: dict[int, tuple[Tensor, Kept | None]]

    def keep(self, i: int, h: Tensor, kept: Kept | None) -> None:
        if i in self.sources:
            self.held[i] = (h, kept)

    def at(self, i: int, kept: Kept | None) -> Float[Tensor, "b n d"]:
        """What block i gave, for the tokens now passing. Raises `FrisketError` if they are not among them."""
        h, made_for = self.held[i]
        if made_for is kept:
            return h
        if made_for is not None or kept is None:
            raise FrisketError(f"a skip from block {i} leaves the span in which tokens were left out")
        return gather(h if kept.rows is None else h[kept.rows], kept.ids)

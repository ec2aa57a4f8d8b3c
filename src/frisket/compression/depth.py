"""Removing whole blocks.

Whatever chose them (TinyFusion, PPCL, Sortblock's rankings), the result is this edit. A residual block that is removed
is the block with its gates at zero, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.numbering import blocks_of, renumber


@register("edit/remove_blocks")
@dataclass(frozen=True, kw_only=True)
class RemoveBlocks:
    """indices: of the blocks that go, as the model numbers them before the edit; the rest close up."""

    indices: tuple[int, ...]

    def __post_init__(self):
        good = len(set(self.indices)) == len(self.indices) and all(i >= 0 for i in self.indices)
        check(good, "edit.indices", self.indices, "different numbers from 0 up")

    def build(self, model: nn.Module) -> None:
        """Raises if the model has no such block, or if none would be left."""
        blocks = blocks_of(model)
        check(all(i < len(blocks) for i in self.indices), "edit.indices", self.indices, f"below {len(blocks)}")
        check(len(self.indices) < len(blocks), "edit.indices", self.indices, "fewer than all blocks")
        for i in sorted(self.indices, reverse=True):
            del blocks[i]

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the blocks that stay, under their new numbers."""
        return renumber(weights, lambda i: None if i in self.indices else i - sum(j < i for j in self.indices))

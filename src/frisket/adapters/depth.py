"""Adding whole blocks.

A block whose gates start at zero (adaLN-zero) leaves the model's outputs exactly as they were, so a trained network can
be deepened without a jump.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.block import Block
from frisket.models.init import build_real
from frisket.models.numbering import blocks_of, renumber


@register("edit/insert_block")
@dataclass(frozen=True, kw_only=True)
class InsertBlock:
    """at: the number that the new block gets; those from there on move up by one. Its weights are fresh."""

    at: int
    block: Block = Block()

    def build(self, model: nn.Module) -> None:
        """Raises if the place is outside the list, or if the model does not build blocks."""
        blocks, make = blocks_of(model), getattr(model, "new_block", None)
        if not callable(make):
            raise FrisketError(f"{type(model).__name__} cannot be given a block")
        check(0 <= self.at <= len(blocks), "edit.at", self.at, f"in [0, {len(blocks)}]")

        def fresh() -> nn.Module:
            return make(self.block)  # type: ignore[return-value]

        device = next(model.parameters()).device
        blocks.insert(self.at, build_real(fresh, prefix=f"blocks.{self.at}.", device=device))

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The old weights, blocks from `at` on under the next number."""
        return renumber(weights, lambda i: i + (i >= self.at))

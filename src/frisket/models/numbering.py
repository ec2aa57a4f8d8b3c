"""Weights of a list of blocks under new numbers, for edits that remove, insert or move blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from frisket.core.errors import FrisketError

NAME = re.compile(r"blocks\.(\d+)\.(.*)")


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The model's list of blocks. Raises `FrisketError` if it has none."""
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        raise FrisketError(f"{type(model).__name__} has no list of blocks to change")
    return blocks


def renumber(weights: Mapping[str, Tensor], to: Callable[[int], int | None]) -> dict[str, Tensor]:
    """`weights` with block i named block `to(i)`; None leaves it out. Other names stay."""
    out = {}
    for name, value in weights.items():
        found = NAME.fullmatch(name)
        new = to(int(found[1])) if found else None
        if found is None:
            out[name] = value
        elif new is not None:
            out[f"blocks.{new}.{found[2]}"] = value
    return out

"""`Known`: which elements of a state are given and clean, and their values.

One object for prompts, clues, inpainting surroundings, earlier scenes, observed series, plan start and goal. `corrupt`
keeps it, `loss` leaves it out, every sampling step imposes it again.
Shapes: b batch, `*s` the state's shape; `where` may have a size-1 channel axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from frisket.core.errors import FrisketError


@dataclass(frozen=True, kw_only=True)
class Known:
    """values: a state (b, *s). where: bool, broadcastable to it; True = known. Raises on other shapes."""

    values: Tensor
    where: Bool[Tensor, "b ..."]

    def __post_init__(self):
        fits = self.where.ndim == self.values.ndim and all(
            w in (1, v) for w, v in zip(self.where.shape, self.values.shape, strict=True)
        )
        if not fits:
            raise FrisketError(
                f"known.where of shape {tuple(self.where.shape)} does not fit values of shape "
                f"{tuple(self.values.shape)}; each axis must be equal or 1"
            )

    def impose(self, x: Tensor) -> Tensor:
        """x (b, *s) with the known elements exactly as given."""
        return self.values.to(x.dtype).where(self.where, x)

    def to(self, device: torch.device | str) -> Known:
        return Known(values=self.values.to(device), where=self.where.to(device))

    def rows(self, index: Tensor | slice) -> Known:
        return Known(values=self.values[index], where=self.where[index])

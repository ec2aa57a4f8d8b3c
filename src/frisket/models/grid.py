"""Where tokens stand: a state's axes cut into patches, one token a patch, in raster order (last axis fastest).

Shapes: b batch, c channels, n tokens, a axes, f features of a patch. States are images (b, c, h, w), video
(b, c, t, h, w), sequences (b, c, l) or ids (b, *grid).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check


@dataclass(frozen=True, kw_only=True)
class Grid:
    """axes: tokens along each axis. patch: elements of the state a token covers along each axis."""

    axes: tuple[int, ...]
    patch: tuple[int, ...]

    def __post_init__(self):
        check(bool(self.axes) and all(a > 0 for a in self.axes), "grid.axes", self.axes, "positive numbers")
        check(
            len(self.patch) == len(self.axes) and all(p > 0 for p in self.patch),
            "grid.patch", self.patch, f"{len(self.axes)} positive numbers, one an axis",
        )  # fmt: skip

    @classmethod
    def of(cls, size: tuple[int, ...], patch: int | tuple[int, ...] = 1) -> Grid:
        """The grid of a state with axes of `size`; one `patch` for all axes or one each. Raises if it does not fit."""
        size = tuple(size)
        parts = (patch,) * len(size) if isinstance(patch, int) else tuple(patch)
        fits = len(parts) == len(size) and all(p > 0 and s % p == 0 for s, p in zip(size, parts, strict=True))
        check(fits, "patch", patch, f"a divisor of each axis of a state of size {size}")
        return cls(axes=tuple(s // p for s, p in zip(size, parts, strict=True)), patch=parts)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return math.prod(self.axes)

    @property
    def size(self) -> tuple[int, ...]:
        """Elements of the state along each axis."""
        return tuple(a * p for a, p in zip(self.axes, self.patch, strict=True))

    def coords(self, device: torch.device | str | None = None) -> Float[Tensor, "n a"]:
        """Each token's place on every axis, in tokens from 0."""
        lines = [torch.arange(a, dtype=torch.float32, device=device) for a in self.axes]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, len(self.axes))

    def patchify(self, x: Float[Tensor, "b c *size"]) -> Float[Tensor, "b n f"]:
        """Features of each patch ordered (channel, then place in the patch), as a convolution's weight is."""
        self._check(x.shape[2:])
        b, c, k = x.shape[0], x.shape[1], len(self.axes)
        split = x.reshape(b, c, *(v for pair in zip(self.axes, self.patch, strict=True) for v in pair))
        places, inner = [2 + 2 * i for i in range(k)], [3 + 2 * i for i in range(k)]
        return split.permute(0, *places, 1, *inner).reshape(b, self.tokens, -1)

    def unpatchify(self, features: Float[Tensor, "b n f"]) -> Float[Tensor, "b c *size"]:
        """The state from features ordered (place in the patch, then channel), as DiT's last layer is."""
        b, k = features.shape[0], len(self.axes)
        split = features.reshape(b, *self.axes, *self.patch, -1)
        order = [v for i in range(k) for v in (1 + i, 1 + k + i)]
        return split.permute(0, 2 * k + 1, *order).reshape(b, -1, *self.size)

    def flatten(self, ids: Int[Tensor, "b *axes"]) -> Int[Tensor, "b n"]:
        """Ids in raster order."""
        self._check(ids.shape[1:])
        return ids.reshape(ids.shape[0], -1)

    def fold(self, values: Tensor) -> Tensor:
        """Values of tokens (b, n, *rest) laid on the axes (b, *axes, *rest)."""
        return values.reshape(values.shape[0], *self.axes, *values.shape[2:])

    def per_token(self, values: Float[Tensor, "b c *size"]) -> Float[Tensor, "b n"]:
        """The mean over each patch of values given one an element; axes of size 1 are repeated."""
        return self.patchify(values.expand(*values.shape[:2], *self.size)).mean(-1)

    def _check(self, size: torch.Size) -> None:
        if tuple(size) != self.size:
            raise FrisketError(f"a state with axes of size {tuple(size)} does not fit a grid of size {self.size}")

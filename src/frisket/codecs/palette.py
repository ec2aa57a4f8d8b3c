"""Images as ids of colours: each cell of a coarse grid is the nearest colour of a palette. A tokenizer without weights.

Decoding paints the cells; it is differentiable nowhere, since ids are not. Left to the user: the colours, by name or
fitted by k-means (Lloyd's steps from colours chosen far apart, so that fitting is the same every time).
Shapes: b batch, k colours, h w pixels, gh gw cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/palette")
@dataclass(frozen=True, kw_only=True)
class Palette:
    """colours: (k, channels) in [0, 1]; () fits `count` of them. patch: side of a cell in pixels; a cell has the
    colour nearest to its mean."""

    colours: tuple[tuple[float, ...], ...] = ()
    patch: int = 1
    count: int = 16

    def __post_init__(self):
        check(self.patch >= 1, "codec.patch", self.patch, "at least 1")
        check(self.count >= 2, "codec.count", self.count, "at least 2")
        check(len({len(c) for c in self.colours}) <= 1, "codec.colours", self.colours, "of equally many channels each")

    def fit(self, source: Source | Stream) -> Palette:
        """The source's own colours, unless some are set."""
        if self.colours:
            return self
        size = min(source.info.size or 256, 256)
        x = source.batch(torch.arange(size))["x"] if hasattr(source, "batch") else source.read(size)["x"]  # type: ignore[union-attr]
        cells = functional.avg_pool2d(x, self.patch).movedim(1, -1).flatten(0, 2)
        return replace(self, colours=tuple(tuple(row) for row in centres(cells, self.count).tolist()))

    def build(self) -> Palette:
        check(len(self.colours) >= 2, "codec.colours", self.colours, "two or more, set or fitted before it is built")
        return self

    def encode(self, x: Float[Tensor, "b c h w"], draw: Tensor | None = None) -> Int[Tensor, "b gh gw"]:
        """Raises `FrisketError` on sides that are no multiple of the cell's, and on another number of channels."""
        check(x.shape[1] == len(self.colours[0]), "channels", x.shape[1], str(len(self.colours[0])))
        self._cells(tuple(x.shape[2:]))
        return nearest(functional.avg_pool2d(x, self.patch).movedim(1, -1), self._table(x))

    def decode(self, state: Int[Tensor, "b gh gw"]) -> Float[Tensor, "b c h w"]:
        k = len(self.colours)
        if state.numel() and not 0 <= int(state.min()) <= int(state.max()) < k:
            raise FrisketError(f"ids {int(state.min())}..{int(state.max())} are not all in 0..{k - 1}")
        painted = self._table(state)[state].movedim(-1, 1)
        return painted.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)

    def spec(self, info: Info) -> Spec:
        return Spec(kind="ids", shape=self._cells(info.shape[1:]), vocabulary=len(self.colours))

    def _cells(self, size: tuple[int, ...]) -> tuple[int, ...]:
        fits = len(size) == 2 and all(s % self.patch == 0 for s in size)
        check(fits, "codec.patch", self.patch, f"a divisor of the sides of an image {size}")
        return tuple(s // self.patch for s in size)

    def _table(self, like: Tensor) -> Float[Tensor, "k c"]:
        return torch.tensor(self.colours, device=like.device, dtype=torch.float32)


def nearest(x: Float[Tensor, "*n c"], colours: Float[Tensor, "k c"]) -> Int[Tensor, "*n"]:
    """The colour nearest to each row of x; the first of equals."""
    return (x[..., None, :] - colours.to(x.dtype)).square().sum(-1).argmin(-1)


def centres(x: Float[Tensor, "n c"], k: int, rounds: int = 20) -> Float[Tensor, "k c"]:
    """k-means: the first centre is the mean's nearest row, each further one the row farthest from those there are. A
    centre that no row is nearest to stays where it was."""
    chosen = x[(x - x.mean(0)).square().sum(-1).argmin()][None]
    for _ in range(k - 1):
        far = (x[:, None] - chosen).square().sum(-1).amin(1)
        chosen = torch.cat([chosen, x[far.argmax()][None]])
    for _ in range(rounds):
        own = nearest(x, chosen)
        counts = torch.bincount(own, minlength=k)
        sums = torch.zeros_like(chosen).index_add_(0, own, x)
        chosen = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], chosen)
    return chosen

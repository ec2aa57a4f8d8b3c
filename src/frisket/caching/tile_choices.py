"""Which tiles of an attention stay alive at a call: marks that only grow, and the choices they are measured against.

`Growing` is LiteAttention (arXiv 2511.11062): a tile whose best scores all stay `-threshold` powers of two below the
running maxima is marked, and absent from the next call on. The others are its controls: `Fresh` looks at all scores at
every call and skips at that very call (no saving; the best that row maxima can say), `Profiled` decides once, after the
first call, `Scattered` and `Near` never look. The first two rank tiles against the final maxima, not the running ones,
which is the stronger control.
Shapes: b batch, h heads, i query tiles, j key tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step

CITE = (
    "Shmilovich, Wu, Dahan, Domb. LiteAttention: A Temporal Sparse Attention for Diffusion Transformers. 2025. arXiv:2511.11062"
)


@runtime_checkable
class TileChoice(Protocol):
    """A registered value ("tile-choice/..."). `alive` may be changed by the caller's own ranges afterwards."""

    def looks(self, calls: int) -> str:
        """What call number `calls` (from 0) is looked at for: "gaps" of the tiles it visits; the "excess" of all tiles,
        ahead of the call; the "excess, later", which rules only the calls after it; "" for nothing."""
        ...

    def first(self, shape: tuple[int, int, int, int], step: Step, site: str) -> Bool[Tensor, "b h i j"]:
        """The tiles alive at the first call, unless it looks for excess."""
        ...

    def next(
        self, alive: Bool[Tensor, "b h i j"], gap: Float[Tensor, "b h i j"], step: Step
    ) -> Bool[Tensor, "b h i j"]:
        """The tiles alive after gaps (or excesses) have been seen."""
        ...


class _AllAtFirst:
    def first(self, shape: tuple[int, int, int, int], step: Step, site: str) -> Tensor:
        return torch.ones(shape, dtype=torch.bool, device=step.sample.device)


@register("tile-choice/growing", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Growing(_AllAtFirst):
    """threshold: in powers of two, negative; -inf skips nothing. last: the threshold at the last step, reached linearly
    from `threshold` at the first (an early error is carried on by all later steps); None keeps it."""

    threshold: float = -10.0
    last: float | None = None

    def __post_init__(self):
        check(self.threshold < 0, "tiles.threshold", self.threshold, "negative")
        check(self.last is None or -math.inf < self.last < 0, "tiles.last", self.last, "None or negative")
        ramps = self.last is None or math.isfinite(self.threshold)
        check(ramps, "tiles.threshold", self.threshold, "finite where it changes over the run")

    def looks(self, calls: int) -> str:
        return "" if self.threshold == -math.inf else "gaps"

    def next(self, alive: Tensor, gap: Tensor, step: Step) -> Tensor:
        return alive & ((gap > self.at(step)) | (gap == math.inf))

    def at(self, step: Step) -> float:
        """The threshold at this step."""
        if self.last is None:
            return self.threshold
        return self.threshold + (self.last - self.threshold) * step.index / max(1, step.total - 1)


class _Share:
    """Keeps the tiles with the largest excess: `density` of all tiles of a sample's layer."""

    density: float

    def next(self, alive: Tensor, gap: Tensor, step: Step) -> Tensor:
        return largest(gap, self.density)


def _check_density(density: float) -> None:
    check(0 < density <= 1, "tiles.density", density, "a share in (0, 1]")


@register("tile-choice/fresh")
@dataclass(frozen=True, kw_only=True)
class Fresh(_Share, _AllAtFirst):
    """The best `density` of the tiles by this call's own scores."""

    density: float = 0.5

    def __post_init__(self):
        _check_density(self.density)

    def looks(self, calls: int) -> str:
        return "excess"


@register("tile-choice/profiled")
@dataclass(frozen=True, kw_only=True)
class Profiled(_Share, _AllAtFirst):
    """All tiles at the first call, then the best `density` of them by its scores."""

    density: float = 0.5

    def __post_init__(self):
        _check_density(self.density)

    def looks(self, calls: int) -> str:
        return "excess, later" if calls == 0 else ""


class _Blind:
    def looks(self, calls: int) -> str:
        return ""

    def next(self, alive: Tensor, gap: Tensor, step: Step) -> Tensor:
        return alive


@register("tile-choice/scattered")
@dataclass(frozen=True, kw_only=True)
class Scattered(_Blind):
    """`density` of each query tile's key tiles, drawn once a sample, layer and head, its own place among them."""

    density: float = 0.5

    def __post_init__(self):
        _check_density(self.density)

    def first(self, shape: tuple[int, int, int, int], step: Step, site: str) -> Tensor:
        score = step.at(index=0).draw(f"tiles/{site}", shape[1:], "uniform")
        apart = _apart(shape, score.device)
        return best(score + (apart == apart.amin(-1, keepdim=True)), self.density)


@register("tile-choice/near")
@dataclass(frozen=True, kw_only=True)
class Near(_Blind):
    """`density` of each query tile's key tiles, those nearest in the order of tokens."""

    density: float = 0.5

    def __post_init__(self):
        _check_density(self.density)

    def first(self, shape: tuple[int, int, int, int], step: Step, site: str) -> Tensor:
        return best(-_apart(shape, step.sample.device), self.density).expand(shape)


def largest(gap: Float[Tensor, "b h i j"], density: float) -> Bool[Tensor, "b h i j"]:
    """Of each sample, the `density` of all its tiles with the largest values; +inf always belongs to them."""
    flat = gap.flatten(1)
    keep = max(1, round(density * flat.shape[1]))
    order = flat.argsort(dim=1, descending=True, stable=True)
    out = torch.zeros_like(flat, dtype=torch.bool).scatter(1, order[:, :keep], True)
    return (out | (flat == math.inf)).view_as(gap)


def best(score: Float[Tensor, "*r i j"], density: float) -> Bool[Tensor, "*r i j"]:
    """Of each query tile, the `density` of its key tiles with the largest scores, at least one."""
    keep = max(1, round(density * score.shape[-1]))
    order = score.argsort(dim=-1, descending=True, stable=True)[..., :keep]
    return torch.zeros_like(score, dtype=torch.bool).scatter(-1, order, True)


def _apart(shape: tuple[Any, ...], device: torch.device) -> Float[Tensor, "i j"]:
    """Distance of the tiles' middles, as shares of the sequence."""
    i = (torch.arange(shape[2], device=device) + 0.5) / shape[2]
    j = (torch.arange(shape[3], device=device) + 0.5) / shape[3]
    return (i[:, None] - j).abs()

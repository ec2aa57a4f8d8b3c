"""How the condition vector sets shift, scale and gate of a block's branches.

One linear layer gives all numbers of a block, for each branch in order and in each branch in the order shift, scale,
gate (facebookresearch/DiT models.py). The zero-initialised layer makes every block the identity at the start. A vector
a token or a vector a distinct time is the same part: the numbers are made once per vector and each token picks its own.
Shapes: b batch, n tokens, d width, w width of the condition vector, k distinct times, u numbers (of width d) a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.config import digest
from frisket.core.registry import register
from frisket.models.init import ZEROS, Law, Mark, Normal, Uniform, linear, mark, parameter
from frisket.models.layers.base import Side
from frisket.models.tokens import Tags, gather


@runtime_checkable
class Modulation(Protocol):
    """A registered value ("modulation/..."). The module is called with the `Side` and returns (b, u * d) or
    (b, k, u * d), or None for a block that nothing modulates."""

    def build(self, condition: int, width: int, count: int) -> nn.Module: ...

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        """What all blocks of this kind share; run once a forward pass, on the condition vector. None: nothing."""
        ...


@register("modulation/adaln_zero")
@dataclass(frozen=True, kw_only=True)
class AdaLNZero:
    """A zero-initialised linear layer a block (DiT, arXiv 2212.09748)."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _Linear(condition, width * count, ZEROS)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


@register("modulation/adaln")
@dataclass(frozen=True, kw_only=True)
class AdaLN:
    """A linear layer a block that starts uniform in +- 1 / sqrt(w), bias too: blocks are not the identity at first
    (MCG-NJU/DDT decoupled_improved_dit.py, which leaves torch's own start)."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _Linear(condition, width * count, Uniform(condition**-0.5))

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


@register("modulation/low_rank")
@dataclass(frozen=True, kw_only=True)
class LowRank:
    """The same through a bottleneck of `rank`; the second layer starts at zero."""

    rank: int = 32

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _LowRank(condition, width * count, self.rank)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


@register("modulation/shared")
@dataclass(frozen=True, kw_only=True)
class Shared:
    """One linear layer for all blocks and a table of offsets a block (PixArt's adaLN-single, arXiv 2310.00426): the
    table is normal with variance 1 / d and the gates do not start at zero."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _Offsets(width, count, shared_key(self, count))

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return linear(condition, width * count, law=Normal(0.02), role="modulation")


@register("modulation/none")
@dataclass(frozen=True, kw_only=True)
class Unmodulated:
    """No shift, no scale, gate one."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        return _Nothing()

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


def shared_key(modulation: Modulation, count: int) -> str:
    """The name under which blocks with this modulation and `count` numbers find what they share."""
    return f"{digest(modulation)}_{count}"


class _Linear(nn.Module):
    def __init__(self, condition: int, out: int, law: Law):
        super().__init__()
        self.linear = mark(linear(condition, out, law=law, role="modulation"), bias=Mark(law, "vector"))

    def forward(self, side: Side) -> Tensor:
        return self.linear(side.vector)


class _LowRank(nn.Module):
    def __init__(self, condition: int, out: int, rank: int):
        super().__init__()
        self.down = linear(condition, rank, bias=False, role="modulation")
        self.up = linear(rank, out, law=ZEROS, role="modulation")

    def forward(self, side: Side) -> Tensor:
        return self.up(self.down(side.vector))


class _Offsets(nn.Module):
    table: Tensor

    def __init__(self, width: int, count: int, key: str):
        super().__init__()
        self.key = key
        parameter(self, "table", (count * width,), Normal(width**-0.5), "vector")

    def forward(self, side: Side) -> Tensor:
        return side.shared[self.key] + self.table


class _Nothing(nn.Module):
    def forward(self, side: Side) -> None:
        return None


def spread(numbers: Float[Tensor, "b d"] | Float[Tensor, "b k d"], tags: Tags) -> Float[Tensor, "b #n d"]:
    """Each token's own numbers: one vector for all of them, or the one that its `time` tag names."""
    if numbers.ndim == 2:
        return numbers.unsqueeze(1)
    return gather(numbers, tags.batched("time", numbers.shape[0], numbers.device))


def modulate(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """x (1 + scale) + shift."""
    if scale is None:
        return x if shift is None else x + shift
    return x * (1 + scale) if shift is None else torch.addcmul(shift, x, 1 + scale)

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
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import ZEROS, Law, Mark, Normal, Uniform, linear, mark, parameter
from frisket.models.layers.base import Side
from frisket.models.tokens import Tags, gather


@runtime_checkable
class Modulation(Protocol):
    """A registered value ("modulation/..."). The module is called with the `Side` and returns (b, u * d),
    (b, k, u * d) or (b, 2, k, u * d) (see `spread`), or None for a block that nothing modulates."""

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


@register("modulation/reused")
@dataclass(frozen=True, kw_only=True)
class Reused:
    """As `Shared`, but the one layer gives fewer numbers than a block takes. of: for each number of the block, in order,
    which of the layer's it is an offset to (PT-DiT's shifted windows begin from the numbers of the plain ones)."""

    of: tuple[int, ...] = (0, 1, 2, 3, 4, 5)

    def __post_init__(self):
        whole = bool(self.of) and set(self.of) == set(range(max(self.of) + 1))
        check(whole, "reused.of", self.of, "numbers from 0 that leave none out")

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        check(len(self.of) == count, "reused.of", self.of, f"one for each of the block's {count} numbers")
        return _Offsets(width, count, shared_key(self, count), self.of)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return linear(condition, width * (max(self.of) + 1), law=Normal(0.02), role="modulation")


@register("modulation/direct")
@dataclass(frozen=True, kw_only=True)
class Direct:
    """The condition vector itself, before its SiLU, plus a table of offsets: each number begins from the same vector
    (PixArt's last layer). The condition must be as wide as a token."""

    def build(self, condition: int, width: int, count: int) -> nn.Module:
        check(condition == width, "condition", condition, f"the token's width {width}, for modulation/direct")
        return _Direct(width, count)

    def build_shared(self, condition: int, width: int, count: int) -> nn.Module | None:
        return None


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

    def __init__(self, width: int, count: int, key: str, of: tuple[int, ...] | None = None):
        super().__init__()
        self.key, self.width, self.of = key, width, of
        parameter(self, "table", (count * width,), Normal(width**-0.5), "vector")

    def forward(self, side: Side) -> Tensor:
        shared = side.shared[self.key]
        if self.of is not None:
            parts = shared.split(self.width, -1)
            shared = torch.cat([parts[i] for i in self.of], -1)
        return shared + self.table


class _Direct(nn.Module):
    table: Tensor

    def __init__(self, width: int, count: int):
        super().__init__()
        self.count = count
        parameter(self, "table", (count * width,), Normal(width**-0.5), "vector")

    def forward(self, side: Side) -> Tensor:
        if side.plain is None:  # behind an encoder, whose vectors come with the SiLU
            raise FrisketError("modulation/direct adds to the condition before its SiLU, which these blocks lack")
        return torch.cat([side.plain] * self.count, -1) + self.table


class _Nothing(nn.Module):
    def forward(self, side: Side) -> None:
        return None


def spread(
    numbers: Float[Tensor, "b d"] | Float[Tensor, "b k d"] | Float[Tensor, "b 2 k d"], tags: Tags
) -> Float[Tensor, "b #n d"]:
    """Each token's own numbers: one vector for all of them, or the one that its `time` tag names; of two sets the first
    is for tokens of the state, the second for all others."""
    if numbers.ndim == 2:
        return numbers.unsqueeze(1)
    b, k, device = numbers.shape[0], numbers.shape[-2], numbers.device
    time = tags.batched("time", b, device)
    if numbers.ndim == 3:
        return gather(numbers, time)
    return gather(numbers.flatten(1, 2), time + k * (tags.batched("stream", b, device) != 0))


def modulate(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """x (1 + scale) + shift."""
    if scale is None:
        return x if shift is None else x + shift
    return x * (1 + scale) if shift is None else torch.addcmul(shift, x, 1 + scale)

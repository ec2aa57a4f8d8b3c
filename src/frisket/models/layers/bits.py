"""Ends for tokens that are groups of bits: the bits themselves in, without any table, and one softmax a group out.

MaskBit (arXiv 2409.16211; facts from markweberdev/maskbit modeling/bert.py). A state is ids (b, y, x, m): m groups of a
token, each of k symbols, k a power of two, bit 0 the lowest; the mask id is k. `input/groups` is the table of symbols
that the bits do without (there a group's symbols, the mask's included, have rows of their own, and groups are summed).
Shapes: b batch, n tokens, m groups, k symbols of a group, d width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import Normal, embedding, linear
from frisket.models.layers.norms import LayerNorm

CITE = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"


def bits_of(ids: Int[Tensor, "*g"], bits: int) -> Float[Tensor, "*g bits"]:
    """-1 or +1 for each bit of ids, the lowest first."""
    place = torch.arange(bits, device=ids.device)
    return ((ids.unsqueeze(-1) >> place) & 1).float() * 2 - 1


def width_of(symbols: int) -> int:
    """How many bits name one of so many symbols. Raises `FrisketError` unless they are a power of two."""
    bits = symbols.bit_length() - 1
    check(symbols >= 2 and symbols == 1 << bits, "symbols of a group of bits", symbols, "a power of two, at least 2")
    return bits


@dataclass(frozen=True, kw_only=True)
class _Grouped:
    """vocabulary: symbols of a group. size: of the state, (y, x, m)."""

    vocabulary: int = 16
    size: tuple[int, ...] = (4, 4, 2)

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size[:-1], 1)

    def grid_of(self, x: Tensor) -> Grid:
        """The grid of this very state, its groups left out. Raises on a state of another kind."""
        check(x.ndim == 1 + len(self.size), "axes of the state", x.ndim - 1, str(len(self.size)))
        check(not x.is_floating_point(), "dtype of the state", x.dtype, "an integer type")
        check(x.shape[-1] == self.size[-1], "groups of the state", x.shape[-1], str(self.size[-1]))
        return Grid.of(tuple(x.shape[1:-1]), 1)


@register("input/bits", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Bits(_Grouped):
    """Each group's bits as -1 or +1, a hidden group's as 0, all groups' through one linear layer."""

    def fit(self, spec: Spec) -> Bits:
        return replace(self, **_groups(spec))

    def build(self, width: int, extra_channels: int) -> nn.Module:
        check(extra_channels == 0, "doors by channels", extra_channels, "none where the state is ids")
        return _Bits(self, width)


@register("input/groups")
@dataclass(frozen=True, kw_only=True)
class Groups(_Grouped):
    """A table a group, k + 1 rows each; a token is the sum over its groups."""

    def fit(self, spec: Spec) -> Groups:
        return replace(self, **_groups(spec))

    def build(self, width: int, extra_channels: int) -> nn.Module:
        check(extra_channels == 0, "doors by channels", extra_channels, "none where the state is ids")
        return _Groups(self, width)


@register("output/groups", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class GroupLogits:
    """Logits (b, y, x, m, k) of all groups: a linear layer, GELU, a norm, and one linear layer more."""

    vocabulary: int = 16
    groups: int = 2

    def fit(self, spec: Spec, channels_out: int) -> GroupLogits:
        return replace(self, vocabulary=channels_out, groups=_groups(spec)["size"][-1])

    def build(self, width: int, grid: Grid) -> nn.Module:
        return _GroupLogits(self, width)


def _groups(spec: Spec) -> dict:
    if spec.kind != "ids" or spec.vocabulary is None or len(spec.shape) < 2:
        raise FrisketError(f"grouped ids are (y, x, groups) with a vocabulary, not {spec.kind} of shape {spec.shape}")
    return {"vocabulary": spec.vocabulary, "size": tuple(spec.shape)}


class _Bits(nn.Module):
    reads_ids = True

    def __init__(self, config: Bits, width: int):
        super().__init__()
        self.bits, self.mask_id = width_of(config.vocabulary), config.vocabulary
        self.linear = linear(self.bits * config.size[-1], width, law=Normal(0.02), role="input")

    def forward(self, x: Int[Tensor, "b *size"], grid: Grid) -> Float[Tensor, "b n d"]:
        flat = x.flatten(1, -2)  # (b, n, m)
        bits = bits_of(flat, self.bits).masked_fill((flat == self.mask_id).unsqueeze(-1), 0.0)
        return self.linear(bits.flatten(2).to(self.linear.weight.dtype))


class _Groups(nn.Module):
    reads_ids = True

    def __init__(self, config: Groups, width: int):
        super().__init__()
        self.tables = nn.ModuleList([embedding(config.vocabulary + 1, width) for _ in range(config.size[-1])])

    def forward(self, x: Int[Tensor, "b *size"], grid: Grid) -> Float[Tensor, "b n d"]:
        flat = x.flatten(1, -2)
        return torch.stack([table(flat[..., i]) for i, table in enumerate(self.tables)]).sum(0)


class _GroupLogits(nn.Module):
    def __init__(self, config: GroupLogits, width: int):
        super().__init__()
        self.groups = config.groups
        self.hidden, self.norm = (
            linear(width, width, law=Normal(0.02)),
            LayerNorm(eps=1e-12, affine="both").build(width),
        )
        self.linear = linear(width, config.groups * config.vocabulary, law=Normal(0.02), role="output")

    def forward(self, h: Float[Tensor, "b n d"], grid: Grid) -> Float[Tensor, "b *size m k"]:
        made = self.linear(self.norm(functional.gelu(self.hidden(h))))
        return grid.fold(made.unflatten(-1, (self.groups, -1)))

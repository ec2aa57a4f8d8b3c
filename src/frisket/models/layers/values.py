"""Value residual: later attentions mix their values with those of an earlier one in the same pass.

ResFormer (arXiv 2410.17897); with one learned number lambda a layer, from 0.5, as in SwayStar123/SpeedrunDiT
models/sit.py (read for facts): v <- lambda v1 + (1 - lambda) v, where v1 are the values of the keeping attention as its
own layer gave them. They live for one pass, in `Side.held`. Tokens that are left out of a span are left out of v1 too.
Shapes: b batch, r rows present, n tokens of the sequence, m tokens present, h heads, d width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.models.init import Constant, parameter
from frisket.models.layers.base import Side
from frisket.models.tokens import Tags, gather

NAME = "values"


@runtime_checkable
class Values(Protocol):
    """A registered value ("values/..."). Its module is called as `module(v, tags, side)` and gives the values that
    attention reads."""

    def build(self) -> nn.Module: ...


@register("values/kept")
@dataclass(frozen=True, kw_only=True)
class Kept:
    """This attention's own values, kept for later ones."""

    def build(self) -> nn.Module:
        return _Kept()


@register("values/residual", cite="Zhou et al. Value Residual Learning. 2024. arXiv:2410.17897")
@dataclass(frozen=True, kw_only=True)
class Residual:
    """lambda v1 + (1 - lambda) v. start: of lambda, which learns."""

    start: float = 0.5

    def build(self) -> nn.Module:
        return _Residual(self.start)


class _Kept(nn.Module):
    def forward(self, v: Float[Tensor, "r h m d"], tags: Tags, side: Side) -> Float[Tensor, "r h m d"]:
        side.held[NAME] = (v, tags, side.own)
        return v


class _Residual(nn.Module):
    share: Tensor

    def __init__(self, start: float):
        super().__init__()
        parameter(self, "share", (), Constant(start), "vector")

    def forward(self, v: Float[Tensor, "r h m d"], tags: Tags, side: Side) -> Float[Tensor, "r h m d"]:
        share = self.share.to(v.dtype)
        return share * _first(tags, side) + (1 - share) * v


def _first(tags: Tags, side: Side) -> Float[Tensor, "r h m d"]:
    """The kept values of the tokens now present. Raises `FrisketError` if none, or only those of others, were kept."""
    if NAME not in side.held:
        raise FrisketError("values/residual needs an attention with values/kept that ran before it in this pass")
    v, made_for, rows = side.held[NAME]
    if made_for is tags:
        return v
    if made_for.index is not None or rows is not None:
        raise FrisketError("values/kept saw only some of the tokens, and values/residual is given others")
    if side.own is not None:
        v = v[side.own]
    if tags.index is None:
        return v
    index = tags.batched("index", len(v), v.device)
    return gather(v.transpose(1, 2), index).transpose(1, 2)

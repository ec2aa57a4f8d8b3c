"""Normalisations over a token's features.

Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from frisket.core.registry import register
from frisket.models.init import ONES, ZEROS, parameter

Affine = Literal["none", "weight", "both"]


@runtime_checkable
class Norm(Protocol):
    """A registered value ("norm/...")."""

    def build(self, width: int) -> nn.Module: ...


@register("norm/layer")
@dataclass(frozen=True, kw_only=True)
class LayerNorm:
    """(x - mean) / sqrt(var + eps), with no weights, a weight, or weight and bias of its own."""

    eps: float = 1e-6
    affine: Affine = "none"

    def build(self, width: int) -> nn.Module:
        return _LayerNorm(width, self.eps, self.affine)


@register("norm/none")
@dataclass(frozen=True, kw_only=True)
class NoNorm:
    """x as it is."""

    def build(self, width: int) -> nn.Module:
        return nn.Identity()


@register("norm/rms")
@dataclass(frozen=True, kw_only=True)
class RMSNorm:
    """x / sqrt(mean(x^2) + eps), with or without a weight (arXiv 1910.07467)."""

    eps: float = 1e-6
    affine: Literal["none", "weight"] = "weight"

    def build(self, width: int) -> nn.Module:
        return _RMSNorm(width, self.eps, self.affine)


@register("norm/chain")
@dataclass(frozen=True, kw_only=True)
class Chain:
    """Several norms one behind the other (CogVideoX ends so)."""

    norms: tuple[Norm, ...] = (LayerNorm(), LayerNorm())

    def build(self, width: int) -> nn.Module:
        return nn.Sequential(*(norm.build(width) for norm in self.norms))


class _LayerNorm(nn.Module):
    def __init__(self, width: int, eps: float, affine: Affine):
        super().__init__()
        self.shape, self.eps, self.weight, self.bias = (width,), eps, None, None
        if affine != "none":
            _own(self, "weight", width)
        if affine == "both":
            _own(self, "bias", width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class _RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float, affine: str):
        super().__init__()
        self.shape, self.eps, self.weight = (width,), eps, None
        if affine == "weight":
            _own(self, "weight", width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.shape, self.weight, self.eps)


def _own(module: nn.Module, name: str, width: int) -> None:
    delattr(module, name)
    parameter(module, name, (width,), ONES if name == "weight" else ZEROS, "vector")

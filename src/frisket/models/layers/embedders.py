"""Embedders of raw conditions: each has a null of its own, taken in the rows where the condition is dropped.

Sinusoid order [cos | sin] and both MLP layers normal(0.02) as in facebookresearch/DiT models.py.
Shapes: b batch, l tokens of a text, d width, w width of the vector, c channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import ZEROS, Normal, embedding, linear, parameter
from frisket.models.tokens import Tokens


@register("embedder/timestep")
@dataclass(frozen=True, kw_only=True)
class Timestep:
    """The network's time as a sinusoid of `frequencies` features, longest period 2 pi `period`, through an MLP."""

    gives: ClassVar[str] = "vector"
    frequencies: int = 256
    period: float = 10_000.0

    def build(self, width: int) -> nn.Module:
        return _Timestep(self.frequencies, self.period, width)


@register("embedder/timeless")
@dataclass(frozen=True, kw_only=True)
class Timeless:
    """The embedding of time 0 whatever the time is, or if none is given (MDLM without time conditioning): adaLN's
    numbers are then learned constants."""

    gives: ClassVar[str] = "vector"
    frequencies: int = 256

    def build(self, width: int) -> nn.Module:
        return _Timeless(self.frequencies, width)


@register("embedder/class")
@dataclass(frozen=True, kw_only=True)
class ClassIds:
    """Class ids int64 (b,) in [0, classes); row `classes` of the table is the null. Several ids (b, k) are summed."""

    gives: ClassVar[str] = "vector"
    classes: int = 0

    def build(self, width: int) -> nn.Module:
        check(self.classes > 0, "classes", self.classes, "positive; fit() sets it from the data")
        return _ClassIds(self.classes, width)


@register("embedder/number")
@dataclass(frozen=True, kw_only=True)
class Number:
    """A number a row, float (b,), times `scale`, as a sinusoid through an MLP; the null is a learned vector."""

    gives: ClassVar[str] = "vector"
    scale: float = 1000.0
    frequencies: int = 256

    def build(self, width: int) -> nn.Module:
        return _Number(self, width)


@register("embedder/text")
@dataclass(frozen=True, kw_only=True)
class TextIds:
    """Word or character ids int64 (b, l), l <= length, in [0, vocabulary), plus a learned vector a place; ids equal to
    `pad` are not valid keys. The null is one learned vector at every place."""

    gives: ClassVar[str] = "tokens"
    vocabulary: int = 256
    length: int = 64
    pad: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one raw value."""
        return (self.length,)

    def fit(self, spec: Spec, pad: int | None) -> TextIds:
        """A copy for ids as a reader gives them. Raises `FrisketError` on anything but rows of ids."""
        rows = spec.kind == "ids" and len(spec.shape) == 1
        check(rows, "what embedder/text reads", (spec.kind, spec.shape), "ids of shape (length,)")
        return replace(self, vocabulary=spec.vocabulary or self.vocabulary, length=spec.shape[0], pad=pad)

    def build(self, width: int) -> nn.Module:
        return _TextIds(self, width)


@register("embedder/features")
@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of a frozen encoder (b, l, features) through a linear layer; the null is one learned vector."""

    gives: ClassVar[str] = "tokens"
    features: int = 768

    def build(self, width: int) -> nn.Module:
        return _Features(self.features, width)


@register("embedder/features_mlp")
@dataclass(frozen=True, kw_only=True)
class FeaturesMlp:
    """Features of a frozen encoder (b, l, features) through two linear layers with a GELU between them (PixArt's caption
    projection); the null is one learned vector."""

    gives: ClassVar[str] = "tokens"
    features: int = 4096

    def build(self, width: int) -> nn.Module:
        return _FeaturesMlp(self.features, width)


@register("embedder/image")
@dataclass(frozen=True, kw_only=True)
class Image:
    """A map (b, channels, *grid) of the state's size, as it is; the null is a learned number a channel."""

    gives: ClassVar[str] = "image"
    channels: int = 1

    def build(self, width: int) -> nn.Module:
        return _Image(self.channels)


class _Sinusoid(nn.Module):
    """Numbers (...) to [cos | sin] (..., frequencies)."""

    frequency: Tensor

    def __init__(self, frequencies: int, period: float = 10_000.0):
        super().__init__()
        check(frequencies > 0 and frequencies % 2 == 0, "frequencies", frequencies, "positive and even")
        self.count, self.period = frequencies // 2, period
        self.register_buffer("frequency", torch.empty(self.count), persistent=False)

    def fill_tables(self) -> None:
        """Write the frequencies."""
        self.frequency.copy_(self._table())

    def _table(self) -> Tensor:
        k = torch.arange(self.count, dtype=torch.float32, device=self.frequency.device)
        return torch.exp(-math.log(self.period) * k / self.count)

    def forward(self, t: Tensor) -> Tensor:
        # a model moved to bfloat16 takes its buffers along, and times up to 1000 need the frequencies in float32
        frequency = self.frequency if self.frequency.dtype == torch.float32 else self._table()
        angle = t.float().unsqueeze(-1) * frequency
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


class _Mlp(nn.Module):
    def __init__(self, fan_in: int, width: int):
        super().__init__()
        self.up = linear(fan_in, width, law=Normal(0.02))
        self.out = linear(width, width, law=Normal(0.02))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(functional.silu(self.up(x.to(self.up.weight.dtype))))


class _Timestep(nn.Module):
    def __init__(self, frequencies: int, period: float, width: int):
        super().__init__()
        self.sinusoid, self.mlp = _Sinusoid(frequencies, period), _Mlp(frequencies, width)

    def forward(self, t: Float[Tensor, "*b"] | None, rows: int, device: torch.device) -> Float[Tensor, "*b w"]:
        if t is None:
            raise FrisketError("t is missing; this model is conditioned on time")
        return self.mlp(self.sinusoid(t))


class _Timeless(nn.Module):
    def __init__(self, frequencies: int, width: int):
        super().__init__()
        self.sinusoid, self.mlp = _Sinusoid(frequencies), _Mlp(frequencies, width)

    def forward(self, t: Tensor | None, rows: int, device: torch.device) -> Float[Tensor, "b w"]:
        return self.mlp(self.sinusoid(torch.zeros(1, device=device))).expand(rows, -1)


class _ClassIds(nn.Module):
    def __init__(self, classes: int, width: int):
        super().__init__()
        self.classes, self.table = classes, embedding(classes + 1, width)

    def forward(self, value: Int[Tensor, "b *k"], drop: Bool[Tensor, "b"] | None) -> Float[Tensor, "b w"]:
        many = value.ndim == 2
        if drop is not None:
            value = value.masked_fill(drop[:, None] if many else drop, self.classes)
        return self.table(value).sum(1) if many else self.table(value)


class _Number(nn.Module):
    null: Tensor

    def __init__(self, config: Number, width: int):
        super().__init__()
        self.scale = config.scale
        self.sinusoid, self.mlp = _Sinusoid(config.frequencies), _Mlp(config.frequencies, width)
        parameter(self, "null", (width,), Normal(0.02), "embedding")

    def forward(self, value: Float[Tensor, "b"], drop: Bool[Tensor, "b"] | None) -> Float[Tensor, "b w"]:
        out = self.mlp(self.sinusoid(value * self.scale))
        return out if drop is None else torch.where(drop[:, None], self.null, out)


class _TextIds(nn.Module):
    null: Tensor

    def __init__(self, config: TextIds, width: int):
        super().__init__()
        self.pad, self.length = config.pad, config.length
        self.table, self.places = embedding(config.vocabulary, width), embedding(config.length, width)
        parameter(self, "null", (width,), Normal(0.02), "embedding")

    def forward(self, value: Int[Tensor, "b l"], drop: Bool[Tensor, "b"] | None) -> Tokens:
        check(value.shape[1] <= self.length, "text length", value.shape[1], f"at most {self.length}")
        h, valid = self.table(value), None if self.pad is None else value != self.pad
        if drop is not None:
            h = torch.where(drop[:, None, None], self.null, h)
            valid = None if valid is None else valid | drop[:, None]
        h = h + self.places.weight[: value.shape[1]]
        return Tokens.of(h, valid=valid)


class _Features(nn.Module):
    null: Tensor

    def __init__(self, features: int, width: int):
        super().__init__()
        self.linear = linear(features, width)
        parameter(self, "null", (width,), Normal(0.02), "embedding")

    def forward(self, value: Float[Tensor, "b l f"], drop: Bool[Tensor, "b"] | None) -> Tokens:
        h = self.linear(value)
        return Tokens.of(h if drop is None else torch.where(drop[:, None, None], self.null, h))


class _FeaturesMlp(nn.Module):
    null: Tensor

    def __init__(self, features: int, width: int):
        super().__init__()
        self.up, self.out = linear(features, width), linear(width, width)
        parameter(self, "null", (width,), Normal(0.02), "embedding")

    def forward(self, value: Float[Tensor, "b l f"], drop: Bool[Tensor, "b"] | None) -> Tokens:
        h = self.out(functional.gelu(self.up(value), approximate="tanh"))
        return Tokens.of(h if drop is None else torch.where(drop[:, None, None], self.null, h))


class _Image(nn.Module):
    null: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        parameter(self, "null", (channels,), ZEROS, "embedding")

    def forward(self, value: Float[Tensor, "b c *grid"], drop: Bool[Tensor, "b"] | None) -> Float[Tensor, "b c *grid"]:
        check(value.shape[1] == self.channels, "channels of an image condition", value.shape[1], str(self.channels))
        if drop is None:
            return value
        ones = [1] * (value.ndim - 2)
        return torch.where(drop.view(-1, 1, *ones), self.null.view(1, -1, *ones), value)

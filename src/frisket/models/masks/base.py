"""`AttentionMask`: who may look at whom, as a predicate over the tags of a query and of a key.

One predicate, two lowerings: a boolean tensor for SDPA (computed once per tags and remembered there) and a `mask_mod`
for FlexAttention, which evaluates the same predicate per tile. Masks combine with `&`, `|` and `~`.
True means allowed. What a query that may look at nobody gets is the mask's `empty` rule: `zeros` (the branch adds
nothing there) or `all` (it looks everywhere). Of a combination, the left operand's rule holds.
Shapes: b batch, n queries, m keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.models.tokens import DEFAULTS, Tags

Empty = Literal["zeros", "all"]


class View(Protocol):
    """One side of the predicate: its tags, shaped so that a query's broadcast against a key's."""

    def coord(self, axis: int) -> Tensor: ...

    def tag(self, name: str) -> Tensor: ...


@runtime_checkable
class AttentionMask(Protocol):
    """A registered value ("mask/...")."""

    @property
    def empty(self) -> Empty: ...

    def allowed(self, q: View, k: View) -> Tensor:
        """bool, elementwise over the two views."""
        ...


class Combines:
    """Gives a mask `&`, `|` and `~`."""

    empty: Any = "zeros"

    def __and__(self, other: AttentionMask) -> Both:
        return Both(left=self, right=other)  # type: ignore[arg-type]

    def __or__(self, other: AttentionMask) -> Either:
        return Either(left=self, right=other)  # type: ignore[arg-type]

    def __invert__(self) -> Not:
        return Not(mask=self)  # type: ignore[arg-type]


@register("mask/all")
@dataclass(frozen=True, kw_only=True)
class All(Combines):
    """Everyone looks at everyone."""

    empty: ClassVar[Empty] = "all"

    def allowed(self, q: View, k: View) -> Tensor:
        return (q.tag("index") >= 0) & (k.tag("index") >= 0)


@register("mask/and")
@dataclass(frozen=True, kw_only=True)
class Both(Combines):
    """Allowed by both."""

    left: AttentionMask
    right: AttentionMask

    @property
    def empty(self) -> Empty:
        return self.left.empty

    def allowed(self, q: View, k: View) -> Tensor:
        return self.left.allowed(q, k) & self.right.allowed(q, k)


@register("mask/or")
@dataclass(frozen=True, kw_only=True)
class Either(Combines):
    """Allowed by one or both."""

    left: AttentionMask
    right: AttentionMask

    @property
    def empty(self) -> Empty:
        return self.left.empty

    def allowed(self, q: View, k: View) -> Tensor:
        return self.left.allowed(q, k) | self.right.allowed(q, k)


@register("mask/not")
@dataclass(frozen=True, kw_only=True)
class Not(Combines):
    """Allowed where the other is not."""

    mask: AttentionMask

    @property
    def empty(self) -> Empty:
        return self.mask.empty

    def allowed(self, q: View, k: View) -> Tensor:
        return ~self.mask.allowed(q, k)


class DenseView:
    """Tags with the token axis at `place` of (..., n, m): queries at -2, keys at -1."""

    def __init__(self, tags: Tags, keys: bool, device: torch.device):
        self.tags, self.axis, self.device = tags, -2 if keys else -1, device

    def coord(self, axis: int) -> Tensor:
        return _coords(self.tags, axis).unsqueeze(self.axis)

    def tag(self, name: str) -> Tensor:
        return tag_or_default(self.tags, name, self.device).unsqueeze(self.axis)

    def batch(self) -> Tensor | None:
        return None


class PointView:
    """Tags of one token per (batch, position), as FlexAttention's `mask_mod` asks for them."""

    def __init__(self, tags: Tags, row: Tensor, at: Tensor):
        self.tags, self.row, self.at = tags, row, at

    def coord(self, axis: int) -> Tensor:
        return self._pick(_coords(self.tags, axis))

    def tag(self, name: str) -> Tensor:
        return self._pick(tag_or_default(self.tags, name, self.at.device))

    def batch(self) -> Tensor:
        return self.row

    def _pick(self, values: Tensor) -> Tensor:
        return values[self.at] if values.ndim == 1 else values[self.row, self.at]


def tag_or_default(tags: Tags, name: str, device: torch.device) -> Tensor:
    """A tag (n,) or (b, n); where it is not set, its default."""
    value = getattr(tags, name) if name in (*DEFAULTS, "index") else tags.extra.get(name)
    if value is None and name not in (*DEFAULTS, "index"):
        raise FrisketError(f"an attention mask reads the extra {name!r}, which these tokens do not carry")
    if value is None:
        key = ("default", name, device)
        if key not in tags.memo:
            number = torch.arange(tags.n, device=device)
            tags.memo[key] = (
                number
                if name == "index"
                else torch.full_like(
                    number, DEFAULTS[name], dtype=None if name not in ("read", "valid") else torch.bool
                )
            )
        value = tags.memo[key]
    return value


def _coords(tags: Tags, axis: int) -> Tensor:
    if tags.coords is None or axis >= tags.coords.shape[-1]:
        raise FrisketError(f"an attention mask reads axis {axis}, which these tokens do not have")
    return tags.coords[..., axis]

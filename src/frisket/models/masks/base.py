"""`AttentionMask`: who may look at whom, as a predicate over the tags of a query and of a key.

One predicate, two lowerings (see `attend`): a boolean tensor for SDPA, computed once per tags and remembered there, and
a `mask_mod` for FlexAttention, which evaluates the same predicate tile by tile. Masks combine with `&`, `|` and `~`.
True means allowed. What a query that may look at nobody gets is the mask's `empty` rule: `zeros` (the branch adds
nothing there) or `all` (it looks everywhere). Of a combination, the left operand's rule holds.
Shapes: b batch, n queries, m keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.models.tokens import DEFAULTS, Tags

Empty = Literal["zeros", "all"]


class View:
    """The tags of one side at some tokens. row: (b, 1, 1) and at: (n, 1) or (1, m) for a whole mask, or scalars for
    FlexAttention. A tag that all rows share does not read `row`, so a mask over shared tags is (n, m)."""

    def __init__(self, tags: Tags, row: Tensor, at: Tensor):
        self.tags, self.row, self.at = tags, row, at

    def coord(self, axis: int) -> Tensor:
        """Coordinates on one axis. Raises if the tokens do not have it."""
        coords = self.tags.coords
        if coords is None or axis >= coords.shape[-1]:
            raise FrisketError(f"an attention mask reads axis {axis}, which these tokens do not have")
        return self._pick(coords[..., axis])

    @property
    def axes(self) -> int:
        """How many axes the tokens have."""
        return 0 if self.tags.coords is None else self.tags.coords.shape[-1]

    def tag(self, name: str) -> Tensor:
        """A tag, or one of `extra`, at the tokens looked at."""
        return self._pick(tag_or_default(self.tags, name, self.at.device))

    def _pick(self, values: Tensor) -> Tensor:
        return values[self.at] if values.ndim == 1 else values[self.row, self.at]


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

    empty: Empty = "all"

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


def tag_or_default(tags: Tags, name: str, device: torch.device) -> Tensor:
    """A tag (n,) or (b, n), or its default where it is not set; any other name is one of `extra`. Raises on a name that
    these tokens do not carry."""
    if name not in DEFAULTS and name != "index":
        if name not in tags.extra:
            raise FrisketError(f"an attention mask reads the extra {name!r}, which these tokens do not carry")
        return tags.extra[name]
    value = getattr(tags, name)
    if value is None:
        key = ("default", name, device)
        value = tags.memo.get(key)
    if value is None:
        value = tags.memo[key] = tags.default(name, device)
    return value

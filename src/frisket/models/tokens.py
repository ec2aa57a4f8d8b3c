"""`Tokens`: features plus what is known of each token; `take` and `put` move all of it together.

Token dropping, packing, reference and history tokens, region-only generation and per-token noise levels are one
mechanism with different tags. A tag is shared by the batch (n, ...) or a row's own (b, n, ...); None means the default.
Shapes: b batch, n tokens, m chosen tokens, d width, a axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError

DEFAULTS = {"stream": 0, "segment": 0, "time": 0, "read": True, "valid": True}


@dataclass(frozen=True, eq=False, kw_only=True)
class Tags:
    """What is known of n tokens beside their features.

    coords: place on each axis (n, a). stream: kind (0 state, then text, reference, memory ...). segment: item (scene,
    packed image, document). time: index into the sample's few distinct times. index: number in the full sequence
    (default: raster order). read: whether the head reads it. valid: real, not padding. extra: further tensors (b, n,
    ...) that travel along. extent: the axes of the grid that these tokens are, one by one. whole: the axes of the grid
    that they are some of. memo: what was computed from these very tags (attention masks, rotations), never saved.
    """

    n: int
    coords: Tensor | None = None
    stream: Tensor | None = None
    segment: Tensor | None = None
    time: Tensor | None = None
    index: Tensor | None = None
    read: Tensor | None = None
    valid: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    extent: tuple[int, ...] | None = None
    whole: tuple[int, ...] | None = None
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        for name, value in self.items().items():
            axis = value.ndim - 2 if name == "coords" else value.ndim - 1
            if axis not in (0, 1) or value.shape[axis] != self.n:
                raise FrisketError(f"tag {name!r} of shape {tuple(value.shape)} does not describe {self.n} tokens")
        for name, value in self.extra.items():
            if value.ndim < 2 or value.shape[1] != self.n:
                raise FrisketError(f"extra {name!r} of shape {tuple(value.shape)} must be (b, {self.n}, ...)")

    def items(self) -> dict[str, Tensor]:
        """The tags that are set, by name, `extra` left out."""
        rest = ("n", "extra", "extent", "whole", "memo")
        held = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in rest}
        return {name: value for name, value in held.items() if value is not None}

    def batched(self, name: str, b: int, device: torch.device | None = None) -> Tensor:
        """A tag (b, n, ...), with its default where it is not set."""
        value = getattr(self, name)
        if value is None:
            value = self.default(name, device)
        shared = value.ndim == (2 if name == "coords" else 1)
        return value.expand(b, *value.shape) if shared else value

    def default(self, name: str, device: torch.device | None = None) -> Tensor:
        """What a tag that is not set means, (n,). Raises for coords, which have no default."""
        if name == "index":
            return torch.arange(self.n, device=device)
        if name not in DEFAULTS:
            raise FrisketError(f"these tokens carry no {name}")
        return torch.full((self.n,), DEFAULTS[name], device=device)

    def change(self, **changes: Any) -> Tags:
        """A copy with other fields and nothing remembered."""
        return replace(self, memo={}, **changes)

    def take(self, ids: Int[Tensor, "b m"]) -> Tags:
        """The tags of the tokens `ids`; `index` keeps their numbers in the full sequence."""
        b, m = ids.shape
        names = {*self.items(), "index"}
        taken = {name: gather(self.batched(name, b, ids.device), ids) for name in names}
        return self.change(n=m, extent=None, extra={k: gather(v, ids) for k, v in self.extra.items()}, **taken)

    def rows(self, rows: Int[Tensor, "r"]) -> Tags:
        """The tags of some rows; what all rows share stays shared."""
        own = {name: v[rows] for name, v in self.items().items() if v.ndim == (3 if name == "coords" else 2)}
        return self.change(extra={k: v[rows] for k, v in self.extra.items()}, **own)

    def narrow(self, count: int) -> Tags:
        """The tags of the first `count` tokens."""
        axis = {name: (v[..., :count, :] if name == "coords" else v[..., :count]) for name, v in self.items().items()}
        return self.change(n=count, extent=None, extra={k: v[:, :count] for k, v in self.extra.items()}, **axis)  # type: ignore[arg-type]

    @staticmethod
    def cat(parts: Sequence[Tags], b: int, device: torch.device) -> Tags:
        """Tags of sequences one behind the other. A tag that only some parts set has its default in the others (coords:
        zeros); `index` is numbered anew. Raises if `extra` names differ."""
        names = {name for p in parts for name in p.items()} - {"index"}
        if any(set(p.extra) != set(parts[0].extra) for p in parts):
            raise FrisketError("tokens with different extras cannot be joined")
        axes = max((p.coords.shape[-1] for p in parts if p.coords is not None), default=0)
        joined = {name: torch.cat([_tag(p, name, b, axes, device) for p in parts], 1) for name in names}
        extra = {k: torch.cat([p.extra[k] for p in parts], 1) for k in parts[0].extra}
        return Tags(n=sum(p.n for p in parts), extra=extra, **joined)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Features h (b, n, d) and the tags of the n tokens."""

    h: Float[Tensor, "b n d"]
    tags: Tags

    @classmethod
    def of(cls, h: Float[Tensor, "b n d"], **tags: Any) -> Tokens:
        """The short form: `Tokens.of(h, coords=coords)`."""
        return cls(h, Tags(n=h.shape[1], **tags))

    def with_h(self, h: Float[Tensor, "b n d"]) -> Tokens:
        """The same tokens with other features."""
        return Tokens(h, self.tags)

    def take(self, ids: Int[Tensor, "b m"]) -> Tokens:
        """The tokens `ids` of each row, in that order, with all their tags."""
        return Tokens(gather(self.h, ids), self.tags.take(ids))

    def rows(self, rows: Int[Tensor, "r"]) -> Tokens:
        """Some of the rows, with their tags."""
        return Tokens(self.h[rows], self.tags.rows(rows))

    def put(self, ids: Int[Tensor, "b m"], part: Tokens | Tensor) -> Tokens:
        """These tokens with the features of the tokens `ids` replaced by those of `part`; tags stay."""
        h = part.h if isinstance(part, Tokens) else part
        return Tokens(
            self.h.scatter(1, ids[..., None].expand(*ids.shape, self.h.shape[-1]), h.to(self.h.dtype)), self.tags
        )

    @staticmethod
    def cat(parts: Sequence[Tokens]) -> Tokens:
        """Sequences one behind the other, joined as `Tags.cat` says."""
        if len(parts) == 1:
            return parts[0]
        h = torch.cat([p.h for p in parts], 1)
        return Tokens(h, Tags.cat([p.tags for p in parts], h.shape[0], h.device))

    @property
    def coords(self) -> Tensor | None:
        return self.tags.coords

    @property
    def stream(self) -> Tensor | None:
        return self.tags.stream

    @property
    def segment(self) -> Tensor | None:
        return self.tags.segment

    @property
    def time(self) -> Tensor | None:
        return self.tags.time

    @property
    def read(self) -> Tensor | None:
        return self.tags.read

    @property
    def valid(self) -> Tensor | None:
        return self.tags.valid

    @property
    def extra(self) -> Mapping[str, Tensor]:
        return self.tags.extra


def gather(values: Tensor, ids: Int[Tensor, "b m"]) -> Tensor:
    """values (b, n, ...) at ids along the token axis: (b, m, ...)."""
    wide = ids.reshape(*ids.shape, *[1] * (values.ndim - 2)).expand(*ids.shape, *values.shape[2:])
    return values.gather(1, wide)


def _tag(tags: Tags, name: str, b: int, axes: int, device: torch.device) -> Tensor:
    if name == "coords":
        held = torch.zeros(tags.n, 0, device=device) if tags.coords is None else tags.coords
        wide = torch.nn.functional.pad(held, (0, axes - held.shape[-1]))
        return wide.expand(b, *wide.shape) if wide.ndim == 2 else wide
    return tags.batched(name, b, device)

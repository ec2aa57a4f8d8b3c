"""What the `data` room promises: a config `Data` opens a `Source` (random access) or a `Stream` (forward only).

A batch is a dict with the batch first: `x` (images float32 (b, c, h, w) in [0, 1], video (b, c, t, h, w), series
(b, c, l), or a list of b strings), `id` int64 (b,) the item's number, and whatever else the set offers by name:
`label` int64 (b,), `caption` list of strings, `mask`, `valid` ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from frisket.core.config import from_config
from frisket.core.errors import FrisketError, unknown
from frisket.core.registry import lookup, names

Batch = dict[str, Any]
Split = Literal["train", "test"]
Kind = Literal["image", "video", "series", "text", "ids", "points"]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Facts of an opened set. shape: of one item of `x`, () for strings. size: items, None when endless or unknown.
    classes: names of the labels, () when there are none. digest: hash of the content, stored with every result."""

    kind: Kind
    shape: tuple[int, ...] = ()
    size: int | None = None
    classes: tuple[str, ...] = ()
    digest: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Random access: any item at any time, so data order and resume are arithmetic."""

    info: Info

    def batch(self, ids: Tensor) -> Batch:
        """The items `ids` (int64 (b,), each in [0, size)) as one batch."""
        ...


class Stream(Protocol):
    """Forward only: read the next n items; `state` / `restore` (JSON data) make resume exact."""

    info: Info

    def read(self, n: int) -> Batch: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Data(Protocol):
    """A registered config ("data/...") that opens a split. Train and test never share an item."""

    def open(self, split: Split = "train") -> Source | Stream: ...


def parse_data(text: str) -> Data:
    """A set from the command line: a registered name ("digits") or "scheme:target" ("imagefolder:photos/").

    The target goes to the part's `target` field; a part whose `target` defaults to None takes one or none ("text" is
    the embedded corpus, "text:book.txt" the user's). Raises `FrisketError` on an unknown name, a missing or a needless
    target.
    """
    name, colon, target = text.partition(":")
    if f"data/{name}" not in names("data"):
        raise unknown("data", name, [n.removeprefix("data/") for n in names("data")])
    held = lookup(f"data/{name}").__dataclass_fields__.get("target")
    wants = held is not None
    if wants and not target and (colon or held.default is not None):
        raise FrisketError(f"data {name!r} needs a target: --data {name}:TARGET")
    if colon and not wants:
        raise FrisketError(f"data {name!r} takes no target, got {target!r}")
    return from_config({"part": f"data/{name}", **({"target": target} if target else {})})

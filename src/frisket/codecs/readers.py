"""Readers: what the data call a condition, and the codec that makes of it what a model's door embeds.

A caption is text in a batch and text from a user; both go through the same codec. So is a smaller version of the image,
read from the batch's images by another codec (the low grid of a super-resolution stage).
Shapes: b rows, `*s` the shape of one value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from frisket.codecs.base import Codec, CodecConfig, Spec
from frisket.codecs.sentences import Sentences
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Source, Stream


@register("reader/coded")
@dataclass(frozen=True, kw_only=True)
class Reader:
    """key: name in a batch. codec: of its values; one for text must have a fixed length."""

    key: str = "caption"
    codec: CodecConfig = field(default_factory=Sentences)

    def fit(self, source: Source | Stream) -> Reader:
        """A copy whose codec has the statistics of the training set's own `key`. Raises `FrisketError` if it has none."""
        return replace(self, codec=self.codec.fit(_Column(source, self.key)))  # type: ignore[arg-type]

    def build(self, info: Info) -> BuiltReader:
        return BuiltReader(self, info)


class BuiltReader(nn.Module):
    """A reader with its codec built. spec: facts of one value."""

    codec: Codec

    def __init__(self, config: Reader, info: Info):
        super().__init__()
        self.config, self.key = config, config.key
        self.codec = config.codec.build()
        self.spec: Spec = self.codec.spec(_named(info, config.key))

    @property
    def pad(self) -> int | None:
        """The id that fills up, None where there is none."""
        return getattr(self.codec, "pad", None)

    @torch.no_grad()
    def of_batch(self, batch: Batch) -> Shaped[Tensor, "b ..."]:
        """Encoded from a batch. Raises `FrisketError` if the batch does not hold it."""
        if self.key not in batch:
            raise FrisketError(f"the model reads {self.key!r}, but the data offers {', '.join(sorted(batch))}")
        return self.codec.encode(batch[self.key])

    @torch.no_grad()
    def of_value(self, name: str, value: Any, n: int) -> tuple[Shaped[Tensor, "b ..."], list[bool]]:
        """n rows of what a user gives, and which of them are nothing: one value for all or a list of n, each of which
        may be None. Whole numbers are taken as ids that are encoded already, all else is encoded."""
        if isinstance(value, Tensor):
            check(len(value) == n, f"rows of {name}", len(value), f"{n}, one a sample")
            encoded = not value.is_floating_point() and self.spec.kind == "ids"
            rows = value.to(torch.int64) if encoded else self.codec.encode(value)
            check(
                tuple(rows.shape[1:]) == self.spec.shape,
                f"{name}.shape",
                tuple(rows.shape),
                f"{n} of {self.spec.shape}",
            )
            return rows, [False] * n
        given = [value] * n if value is None or isinstance(value, str) else value
        texts = isinstance(given, Sequence) and all(v is None or isinstance(v, str) for v in given)
        check(texts, name, given, "a text, a list of texts, a tensor or None")
        check(len(given) == n, f"rows of {name}", len(given), f"{n}, one a sample")
        dtype = torch.int64 if self.spec.kind == "ids" else torch.float32
        rows = torch.zeros(n, *self.spec.shape, dtype=dtype)
        there = [i for i, v in enumerate(given) if v is not None]
        if there:
            rows[there] = self.codec.encode([given[i] for i in there])
        return rows, [v is None for v in given]


class _Column:
    """A set seen through one name: its `x` is what the set calls `key`."""

    def __init__(self, source: Any, key: str):
        self.source, self.key = source, key
        self.info = _named(source.info, key)

    def batch(self, ids: Tensor) -> Batch:
        held = self.source.batch(ids) if hasattr(self.source, "batch") else self.source.read(len(ids))
        if self.key not in held:
            raise FrisketError(f"a reader wants {self.key!r}, but the data offers {', '.join(sorted(held))}")
        return {"x": held[self.key]}


def _named(info: Info, key: str) -> Info:
    """Facts of what the set calls `key`: those of its items for `x`, else of strings."""
    return info if key == "x" else Info(kind="text", size=info.size, digest=info.digest)


def encoded_batch(batch: Batch, name: str, readers: Mapping[str, BuiltReader]) -> Tensor:
    """The condition `name` of a batch: through its reader, else as it is. Raises `FrisketError` if it is missing."""
    if name in readers:
        return readers[name].of_batch(batch)
    if name not in batch:
        raise FrisketError(f"the model reads {name!r}, but the data offers {', '.join(sorted(batch))}")
    return batch[name]


class ReadSource:
    """A set whose batches hold, under the names that a model reads them by, what its readers make of them."""

    def __init__(self, source: Source, readers: Mapping[str, BuiltReader]):
        self.source, self.readers, self.info = source, readers, source.info

    def batch(self, ids: Tensor) -> Batch:
        batch = self.source.batch(ids)
        return batch | {name: reader.of_batch(batch) for name, reader in self.readers.items()}

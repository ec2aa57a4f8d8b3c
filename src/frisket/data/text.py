"""Running text cut into windows: CPython's own documentation topics (real English, embedded) or the user's files.

Cleaning, the same for all: a run of four or more equal marks out of `=-*+~#._^"` (rules under headings, table frames)
becomes a space, then every run of white space becomes one space. Words are lower-cased runs of letters, of digits,
and single other marks. The first 90 % of the corpus is the training part and the rest the test part, so no window
spans both. The embedded corpus differs from one Python release to the next; `info.digest` identifies the text that
was read.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import check_split, existing, list_files

RULE = re.compile(r"([=\-*+~#._^\"])\1{3,}")
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
TRAIN = 0.9


@register("data/text")
@dataclass(frozen=True, kw_only=True)
class Text:
    """Windows of `length` characters, or words joined by single spaces, as a list of strings in `x`.

    target: None for the embedded corpus, a text file (UTF-8), or a folder of .txt files read in sorted order.
    Training windows start anywhere; test windows lie end to end, so each test character is scored once.
    """

    target: str | None = None
    unit: Literal["characters", "words"] = "characters"
    length: int = 64

    def __post_init__(self):
        check(self.unit in ("characters", "words"), "data.unit", self.unit, "'characters' or 'words'")
        check(self.length >= 1, "data.length", self.length, "1 or more")

    def open(self, split: Split = "train") -> TextSource:
        check_split(split)
        text = _embedded() if self.target is None else _files(self.target)
        return TextSource(self, text, split)


class TextSource:
    """The windows of one split. text: the whole split as one string; info.extra: `length`, and either `alphabet`, the
    sorted characters of both splits as one string, or `words`, those of both splits, most frequent in training
    first."""

    def __init__(self, config: Text, text: str, split: Split):
        units = WORD.findall(text.lower()) if config.unit == "words" else text
        cut = int(TRAIN * len(units))
        self.units = units[:cut] if split == "train" else units[cut:]
        self.glue = " " if config.unit == "words" else ""
        self.length, self.stride = config.length, 1 if split == "train" else config.length
        size = (len(self.units) - self.length) // self.stride + 1
        if size < 1:
            raise FrisketError(
                f"text: the {split} part holds {len(self.units)} {config.unit}, fewer than length = {config.length}"
            )
        extra = {"words": _ranked(units, cut)} if config.unit == "words" else {"alphabet": "".join(sorted(set(text)))}
        self.info = Info(
            kind="text", size=size, digest=hashlib.sha256(text.encode()).hexdigest()[:12],
            extra={"length": self.length, **extra},
        )  # fmt: skip

    @property
    def text(self) -> str:
        return self.glue.join(self.units)

    def batch(self, ids: Tensor) -> Batch:
        starts = (ids * self.stride).tolist()
        return {"x": [self.glue.join(self.units[i : i + self.length]) for i in starts], "id": ids.to(torch.int64)}


def clean(text: str) -> str:
    """The text with rules and runs of white space reduced to single spaces, stripped at both ends."""
    return " ".join(RULE.sub(" ", text).split())


def _ranked(units: str | list[str], cut: int) -> tuple[str, ...]:
    count = Counter(units[:cut])
    return tuple(sorted(set(units), key=lambda word: (-count[word], word)))


@lru_cache(maxsize=1)
def _embedded() -> str:
    from pydoc_data.topics import topics

    return clean("\n".join(topics[name] for name in sorted(topics)))


def _files(target: str) -> str:
    path = existing(target, "text")
    files = list_files(path, [".txt"], "text") if path.is_dir() else [path]
    return clean("\n".join(_decoded(file) for file in files))


def _decoded(file) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise FrisketError(f"text: {str(file)!r} cannot be read as UTF-8: {error}") from error

"""Sets of the Hugging Face hub, or local folders and files that the `datasets` library reads, as an exact stream.

Read with `streaming=True`; no code of a set is ever run (the library refuses scripts). Shuffling is by blocks of our
own, because the library's shuffle buffer is not part of its saved state.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from frisket.core.errors import FrisketError, MissingExtra, check, unknown
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Kind, Split
from frisket.data.files import Skips, digest_of, in_split, whole_number
from frisket.data.images import Broken, check_image, fit, read_image
from frisket.data.streams import BlockStream
from frisket.data.wds import collate_images

LOADERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow", ".txt": "text"}


@register("data/hf")
@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """A stream of images float32 (b, channels, size, size) in [0, 1], or of texts (`x` a list of strings).

    target: a name on the hub, a local folder, or a local .parquet, .csv, .json(l), .arrow or .txt file. column: what
    becomes `x`; "" takes the one picture column, or else the one called "text". label, caption: columns passed on
    under those names where they exist. test_split: the split that `open("test")` reads; "" holds out every
    `holdout`-th row of `train_split` instead. `id` is the row's number in its epoch. Needs the extra `data`.
    """

    target: str
    subset: str | None = None
    revision: str | None = None
    column: str = ""
    label: str = "label"
    caption: str = "caption"
    size: int = 64
    channels: int = 3
    train_split: str = "train"
    test_split: str = ""
    holdout: int = 10
    buffer: int = 1024
    skip_limit: int = 10
    seed: int = 0

    def __post_init__(self):
        check_image(self.size, self.channels)
        check(self.holdout >= 2, "data.holdout", self.holdout, "2 or more")

    def open(self, split: Split = "train") -> BlockStream:
        """Raises `FrisketError` if the set, the split or the column cannot be found."""
        check(split in ("train", "test"), "split", split, "'train' or 'test'")
        rows = _load(self, self.test_split if split == "test" and self.test_split else self.train_split)
        reader = RowReader(self, rows, split)
        shape = (self.channels, self.size, self.size) if reader.kind == "image" else ()
        info = Info(kind=reader.kind, shape=shape, classes=_classes(rows, self.label), digest=_digest(self))
        collate = collate_images if reader.kind == "image" else collate_texts
        return BlockStream(reader, info, collate, buffer=self.buffer if split == "train" else 1, seed=self.seed)


class RowReader:
    """One pass over the rows of one split. State: the library's own, and the number of rows so far."""

    def __init__(self, config: HuggingFace, rows: Any, split: Split):
        first = next(iter(copy.deepcopy(rows)), None)
        if first is None:
            raise FrisketError(f"hf: {config.target!r} holds no rows")
        self.config, self.skips = config, Skips(config.skip_limit, config.target)
        self.split: Split = split
        self.column = config.column or _guess(first, config.target)
        if self.column not in first:
            raise unknown(f"column of {config.target!r}", self.column, first)
        self.kind: Kind = "text" if isinstance(first[self.column], str) else "image"
        self.names = {"label": config.label, "caption": config.caption}
        self.names = {name: column for name, column in self.names.items() if column in first and column != self.column}
        self.classes = len(_classes(rows, config.label))
        self.fresh = _undecoded(rows, [name for name, value in first.items() if _is_picture(value)])

    def begin(self, epoch: int, state: dict[str, Any] | None = None) -> None:
        self.rows = copy.deepcopy(self.fresh)
        if state is not None:
            self.rows.load_state_dict(copy.deepcopy(state["rows"]))
        self.count = 0 if state is None else state["count"]
        self.items = iter(self.rows)

    def state(self) -> dict[str, Any]:
        return {"rows": copy.deepcopy(self.rows.state_dict()), "count": self.count}

    def next(self) -> dict[str, Any] | None:
        for row in self.items:
            self.count += 1
            if self.config.test_split or in_split(self.count - 1, self.split, self.config.holdout):
                try:
                    return self._item(row)
                except (ValueError, TypeError) as error:  # Broken, a label that is no number
                    self.skips.add(f"{self.config.target} row {self.count - 1}", error)
        return None

    def _item(self, row: dict[str, Any]) -> dict[str, Any]:
        x = row[self.column]
        if self.kind == "image":
            x = self._picture(x)
        elif not isinstance(x, str):
            raise Broken(f"{self.column} is {type(x).__name__}, not text")
        item = {"x": x, "id": self.count - 1}
        if "label" in self.names:
            item["label"] = whole_number(row[self.names["label"]], self.classes)
        if "caption" in self.names:
            item["caption"] = str(row[self.names["caption"]])
        return item

    def _picture(self, value: Any) -> torch.Tensor:
        size, channels = self.config.size, self.config.channels
        if not isinstance(value, dict):
            if not hasattr(value, "convert"):
                raise Broken(f"{self.column} is {type(value).__name__}, not a picture")
            return fit(value, size, channels)
        if value.get("bytes") is not None:
            return read_image(value["bytes"], size, channels)
        if not value.get("path"):
            raise Broken(f"{self.column} holds neither bytes nor a path")
        return read_image(Path(value["path"]), size, channels)


def collate_texts(items: list[dict[str, Any]]) -> Batch:
    batch = collate_images([{**item, "x": torch.empty(0)} for item in items])
    return {**batch, "x": [item["x"] for item in items]}


def _load(config: HuggingFace, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "data", f"--data hf:{config.target}") from error
    path = Path(config.target).expanduser()
    try:
        if path.is_file():
            if path.suffix not in LOADERS:
                raise unknown("kind of file for hf", path.suffix, LOADERS)
            return datasets.load_dataset(
                LOADERS[path.suffix], data_files={split: str(path)}, split=split, streaming=True
            )
        return datasets.load_dataset(
            config.target, config.subset, split=split, revision=config.revision, streaming=True
        )
    except FrisketError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # not found, unknown subset or split, a script
        reason = " ".join(str(error).split())
        raise FrisketError(f"hf: split {split!r} of {config.target!r} cannot be opened: {reason}") from error


def _digest(config: HuggingFace) -> str:
    """The commit of a set on the hub; of local files, their names and sizes."""
    path = Path(config.target).expanduser()
    if path.is_dir():
        return digest_of(sorted(p for p in path.rglob("*") if p.is_file()), path)
    if path.is_file():
        return digest_of([path], path.parent)
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(config.target, revision=config.revision).sha)[:12]
    except (OSError, ValueError) as error:
        raise FrisketError(
            f"hf: the commit of {config.target!r} cannot be read: {' '.join(str(error).split())}"
        ) from error


def _is_picture(value: Any) -> bool:
    return hasattr(value, "convert") or (isinstance(value, dict) and "bytes" in value and "path" in value)


def _guess(row: dict[str, Any], target: str) -> str:
    pictures = [name for name, value in row.items() if _is_picture(value)]
    if len(pictures) == 1:
        return pictures[0]
    if not pictures and isinstance(row.get("text"), str):
        return "text"
    found = ", ".join(row)
    raise FrisketError(
        f"hf: {target!r} has {len(pictures)} picture columns and no plain choice; set column to one of: {found}"
    )


def _undecoded(rows: Any, pictures: list[str]) -> Any:
    """The rows with pictures as bytes, so that a broken one is ours to count."""
    import datasets

    for name in pictures:
        if rows.features is None or isinstance(rows.features.get(name), datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def _classes(rows: Any, label: str) -> tuple[str, ...]:
    feature = (rows.features or {}).get(label)
    return tuple(getattr(feature, "names", None) or ())

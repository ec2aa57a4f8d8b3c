"""WebDataset shards: tar archives in which the files of one sample stand together and share a name up to the first dot.

Format: https://github.com/webdataset/webdataset (README). Read here with the standard library, from the start of any
sample, because the library's own iterators cannot say where they are. Archives are never extracted; a member whose
name would leave its folder, and any link or device, is refused by name.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from frisket.core import random
from frisket.core.errors import FrisketError, MissingExtra
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import Skips, check_split, existing, list_files, whole_number
from frisket.data.images import SUFFIXES, Broken, check_image, read_image
from frisket.data.streams import BlockStream

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")


@register("data/wds")
@dataclass(frozen=True, kw_only=True)
class WebDataset:
    """A stream of images float32 (b, channels, size, size) in [0, 1], with `label` from .cls and `caption` from .txt
    files.

    target: a .tar file, a folder of them, or a path or URL with braces ("https://host/{000..031}.tar"); URLs are
    opened with fsspec. A sample whose name hashes to one in `holdout` is the test's. Training visits shards in a new
    order each epoch and shuffles blocks of `buffer` samples; the test split keeps the order. `id` is the sample's
    number in its epoch's reading order. What the first sample has besides the image, all must have. A broken shard or
    sample is skipped, up to `skip_limit`.
    """

    target: str
    size: int = 64
    channels: int = 3
    buffer: int = 1024
    holdout: int = 10
    skip_limit: int = 10
    seed: int = 0

    def __post_init__(self):
        check_image(self.size, self.channels)

    def open(self, split: Split = "train") -> BlockStream:
        """Raises `FrisketError` if no shard is there."""
        check_split(split, self.holdout)
        shards = find_shards(self.target)
        digest = hashlib.sha256("\n".join(shards).encode()).hexdigest()[:12]
        info = Info(kind="image", shape=(self.channels, self.size, self.size), digest=digest)
        buffer = self.buffer if split == "train" else 1
        return BlockStream(ShardReader(self, shards, split), info, collate_images, buffer=buffer, seed=self.seed)


class ShardReader:
    """One pass over all shards. State: number of the shard in this epoch's order, byte at which the next sample begins,
    samples so far."""

    def __init__(self, config: WebDataset, shards: list[str], split: Split):
        self.config, self.shards, self.split = config, shards, split
        self.skips = Skips(config.skip_limit, config.target)
        self.names: frozenset[str] | None = None

    def begin(self, epoch: int, state: dict[str, Any] | None = None) -> None:
        self.where = dict(state or {"shard": 0, "offset": 0, "count": 0})
        word = random.key(self.config.seed, torch.arange(len(self.shards)), epoch, random.hash_text("shards"))
        order = random.words(word, 1)[:, 0].argsort().tolist()
        self.order = order if self.split == "train" else sorted(order)
        self.samples = iter(())

    def state(self) -> dict[str, Any]:
        return dict(self.where)

    def next(self) -> dict[str, Any] | None:
        while True:
            item = next(self.samples, None)
            if item is not None:
                return item
            if self.where["shard"] >= len(self.order):
                return None
            self.samples = self._shard(self.shards[self.order[self.where["shard"]]])

    def _shard(self, shard: str) -> Iterator[dict[str, Any]]:
        """The whole samples of this split from `where` on; afterwards `where` is the next shard."""
        try:
            with open_shard(shard) as file:
                file.seek(self.where["offset"])
                for key, files, end in samples_of(file, shard):
                    self.where["offset"] = end
                    self.where["count"] += 1
                    if self._mine(shard, key) and (item := self._decoded(shard, key, files)) is not None:
                        yield item
        except (OSError, EOFError, tarfile.TarError) as error:
            self.skips.add(shard, error)
        self.where.update(shard=self.where["shard"] + 1, offset=0)

    def _mine(self, shard: str, key: str) -> bool:
        held_out = random.hash_text(f"{PurePosixPath(shard).name}/{key}") % self.config.holdout == 0
        return held_out == (self.split == "test")

    def _decoded(self, shard: str, key: str, files: dict[str, bytes]) -> dict[str, Any] | None:
        try:
            item = self._item(files)
            self.names = self.names or frozenset(item)
            if self.names != frozenset(item):
                raise Broken(f"it has {', '.join(sorted(item))}; the first sample has {', '.join(sorted(self.names))}")
            return {**item, "id": self.where["count"] - 1}
        except ValueError as error:  # Broken, a label that is no number, a caption that is no UTF-8
            self.skips.add(f"{shard}/{key}", error)
            return None

    def _item(self, files: dict[str, bytes]) -> dict[str, Any]:
        images = [data for name, data in files.items() if "." + name.rsplit(".", 1)[-1] in SUFFIXES]
        if not images:
            raise Broken(f"no picture among its files ({', '.join(sorted(files))})")
        item: dict[str, Any] = {"x": read_image(images[0], self.config.size, self.config.channels)}
        if "cls" in files:
            item["label"] = whole_number(files["cls"])
        if "txt" in files:
            item["caption"] = files["txt"].decode("utf-8").strip()
        return item


def samples_of(file: Any, shard: str) -> Iterator[tuple[str, dict[str, bytes], int]]:
    """(name, {extension: content}, byte behind it) of each sample, from where `file` (binary, seekable) stands.

    Raises `FrisketError` on a hostile member and `tarfile.TarError` on a broken archive.
    """
    key, files = None, {}
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closing it is closing the file
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # else every header of the archive is kept
        check_member(member, shard)
        if not member.isreg():
            continue
        folder, _, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        found = f"{folder}/{stem}"
        if key is not None and found != key:
            yield key, files, member.offset
            files = {}
        key = found
        content = archive.extractfile(member).read()  # type: ignore[union-attr]
        if len(content) < member.size:
            raise tarfile.ReadError(f"{member.name} is cut short")
        files[extension.lower()] = content
    file.seek(archive.offset)
    end = file.read(tarfile.BLOCKSIZE)  # the library takes a damaged header, or a cut between two files, for the end
    if len(end) < tarfile.BLOCKSIZE or any(end):
        raise tarfile.ReadError(f"no readable header and no closing block at byte {archive.offset}")
    if key is not None:
        yield key, files, archive.offset


def check_member(member: tarfile.TarInfo, shard: str) -> None:
    """Raise `FrisketError` if a member's name leaves its folder or it is anything but a file or a folder."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.name) or "\0" in member.name:
        raise FrisketError(f"wds: {shard} holds the member {member.name!r}, whose name leaves its folder")
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise FrisketError(
            f"wds: {shard} holds {member.name!r}, a link, device or sparse file; only files are accepted"
        )


def find_shards(target: str) -> list[str]:
    """The shards that `target` names, sorted; local ones must exist."""
    if "://" not in target and Path(target).expanduser().is_dir():
        return [str(p) for p in list_files(Path(target).expanduser(), [".tar"], "wds")]
    shards = sorted(expand(target))
    return shards if "://" in target else [str(existing(shard, "wds")) for shard in shards]


def expand(pattern: str) -> list[str]:
    """Every text a pattern with {000..012} or {a,b} stands for."""
    pieces = BRACES.split(pattern)
    choices = [_choices(piece) if k % 2 else [piece] for k, piece in enumerate(pieces)]
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(body: str) -> list[str]:
    if match := RANGE.fullmatch(body):
        low, high = match.groups()
        return [str(n).zfill(len(low)) for n in range(int(low), int(high) + 1)]
    return body.split(",")


def open_shard(shard: str) -> Any:
    """A readable, seekable file. Raises `OSError` if it cannot be had."""
    if "://" not in shard:
        return open(shard, "rb")
    import fsspec

    try:
        return fsspec.open(shard, "rb").open()  # type: ignore[union-attr]
    except ImportError as error:
        raise MissingExtra(str(error.name or "fsspec[http]"), "data", f"reading {shard}") from error
    except ValueError as error:
        raise FrisketError(f"wds: {shard!r} cannot be opened: {error}") from error


def collate_images(items: list[dict[str, Any]]) -> Batch:
    """Items of one kind to a batch: images stacked, numbers as int64, strings as lists."""
    batch: Batch = {"x": torch.stack([item["x"] for item in items])}
    for name in items[0]:
        if name != "x":
            values = [item[name] for item in items]
            batch[name] = values if isinstance(values[0], str) else torch.tensor(values, dtype=torch.int64)
    return batch

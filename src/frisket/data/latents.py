"""Encoded once, read many times: states of a codec in safetensors shards, with labels, captions and an index.

A folder holds per split `shard-00000.safetensors` ..., `captions-00000.json` where there are strings, and
`index.json`. The index is written last and everything under another name first, so a folder with an index is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from frisket.core import random
from frisket.core.config import to_config
from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json, save_tensors, write_json
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Source, Split
from frisket.data.files import check_split, existing

FORMAT = 1


class Encoder(Protocol):
    """The half of a codec that is needed here."""

    def encode(self, x: Any, draw: Tensor | None = None) -> Tensor: ...

    def spec(self, info: Info) -> Any: ...


@torch.no_grad()
def write_latents(
    source: Source, codec: Encoder, folder: str | Path, *, split: Split = "train", shard_size: int = 4096,
    batch: int = 64, draw_seed: int | None = None, config: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:  # fmt: skip
    """Encode every item of `source` into `folder`/`split` and return that path.

    draw_seed: None stores the posterior's mode; a number stores one sample per item, drawn from (draw_seed, id).
    config: the codec's config, stored for those who decode. progress: called with (items done, items in all). Raises
    `FrisketError` if the source is endless or the folder already holds an index.
    """
    size = source.info.size
    if size is None:
        raise FrisketError("write_latents: the set is endless or forward only; give one with a size")
    check(shard_size >= 1 and batch >= 1, "shard_size, batch", (shard_size, batch), "1 or more each")
    check_split(split)
    path = Path(folder) / split
    if (path / "index.json").exists():
        raise FrisketError(f"write_latents: {str(path)!r} already holds latents")
    path.mkdir(parents=True, exist_ok=True)
    spec = codec.spec(source.info)
    shards, ids = [], torch.arange(size)
    for number, part in enumerate(ids.split(shard_size)):
        columns: list[Batch] = []
        for rows in part.split(batch):
            columns.append(_encoded(source.batch(rows), codec, draw_seed))
            if progress is not None:
                progress(int(rows[-1]) + 1, size)
        shards.append(_write_shard(path, number, columns))
    whole = hashlib.sha256("".join(s["sha256"] for s in shards).encode()).hexdigest()[:12]
    index = {
        "format": FORMAT, "kind": "ids" if spec.kind == "ids" else source.info.kind, "shape": list(spec.shape),
        "vocabulary": spec.vocabulary, "size": size, "digest": whole,
        "classes": list(source.info.classes), "source": source.info.digest, "draw_seed": draw_seed,
        "codec": None if config is None else to_config(config), "shard_size": shard_size,
        "shards": shards,
    }  # fmt: skip
    write_json(path / "index.json", index)
    return path


@register("data/latents")
@dataclass(frozen=True, kw_only=True)
class Latents:
    """States written by `write_latents`: `x` in the codec's state shape, with the `label`, `caption` and other
    tensors of the set they came from. target: the folder above `train` and `test`. cached: how many shards stay
    open."""

    target: str
    cached: int = 8

    def __post_init__(self):
        check(self.cached >= 1, "data.cached", self.cached, "1 or more")

    def open(self, split: Split = "train") -> LatentSource:
        """Raises `FrisketError` on a missing, foreign or incomplete folder."""
        check_split(split)
        return LatentSource(existing(self.target, "latents") / split, self.cached)


class LatentSource:
    """Rows read from mapped files when asked for. info.extra: `codec`, its config or None, `source`, the
    digest of the set it came from, and `vocabulary`, None unless the states are ids."""

    def __init__(self, path: Path, cached: int):
        try:
            self.index = read_json(path / "index.json")
            self.path, self.shard_size = path, int(self.index["shard_size"])
            extra = {name: self.index[name] for name in ("codec", "source", "vocabulary")}
            self.info = Info(
                kind=self.index["kind"], shape=tuple(self.index["shape"]), size=int(self.index["size"]),
                classes=tuple(self.index["classes"]), digest=self.index["digest"], extra=extra,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:  # missing or broken file, missing or wrong entry
            raise FrisketError(f"latents: {str(path)!r} holds no whole index.json ({error})") from error
        check(self.index["format"] == FORMAT, "latents format", self.index["format"], f"{FORMAT}")
        for shard in self.index["shards"]:
            name = shard["file"]
            if name != Path(name).name or not (path / name).is_file():
                raise FrisketError(f"latents: {str(path)!r} lacks the shard {name!r} of its index")
        self._open, self.cached = lru_cache(maxsize=cached)(self._open_shard), cached

    def batch(self, ids: Tensor) -> Batch:
        rows = [self._row(*divmod(i, self.shard_size)) for i in ids.tolist()]
        batch: Batch = {}
        for name, first in rows[0].items():
            values = [row[name] for row in rows]
            batch[name] = torch.stack(values) if isinstance(first, Tensor) else values
        return {**batch, "id": ids.to(torch.int64)}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "cached": self.cached}  # open files stay behind when a worker gets a copy

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def _row(self, shard: int, row: int) -> dict[str, Any]:
        file, strings = self._open(shard)
        tensors = {name: file.get_slice(name)[row : row + 1][0] for name in file.keys()}  # noqa: SIM118
        return tensors | {name: values[row] for name, values in strings.items()}

    def _open_shard(self, number: int) -> tuple[Any, dict[str, list[str]]]:
        from safetensors import SafetensorError, safe_open

        entry = self.index["shards"][number]
        try:
            file = safe_open(self.path / entry["file"], framework="pt")
            strings = read_json(self.path / _strings_name(number)) if entry["strings"] else {}
        except (SafetensorError, OSError) as error:
            raise FrisketError(f"latents: {str(self.path / entry['file'])!r} cannot be read: {error}") from error
        return file, strings


def _encoded(batch: Batch, codec: Encoder, draw_seed: int | None) -> Batch:
    state = codec.encode(batch["x"])
    if draw_seed is not None:
        keys = random.key(draw_seed, batch["id"], random.hash_text("latents"))
        draw = random.normal(keys, state[0].numel()).reshape(state.shape)
        state = codec.encode(batch["x"], draw.to(state.device, state.dtype))
    return {**{k: v for k, v in batch.items() if k != "id"}, "x": state.cpu()}


def _write_shard(path: Path, number: int, columns: list[Batch]) -> dict[str, Any]:
    tensors = {
        k: torch.cat([c[k] for c in columns]).contiguous() for k, v in columns[0].items() if isinstance(v, Tensor)
    }
    strings = {k: [s for c in columns for s in c[k]] for k, v in columns[0].items() if isinstance(v, list)}
    name = f"shard-{number:05d}.safetensors"
    save_tensors(path / name, tensors)
    if strings:
        write_json(path / _strings_name(number), strings)
    with (path / name).open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": name, "sha256": content, "strings": sorted(strings)}


def _strings_name(number: int) -> str:
    return f"captions-{number:05d}.json"

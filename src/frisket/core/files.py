"""Files that are either whole or absent: write aside, fsync, rename. Tensors only as safetensors, never pickles."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frisket.core.errors import FrisketError


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving without an error it is flushed to disk and takes the name.

    On any error the temporary file is removed and what stood at `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        _flush(aside)
        os.replace(aside, path)
        _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Like `atomic_file` for a folder; a folder that stood at `path` is replaced as a whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for file in aside.rglob("*"):
            _flush(file)
        _flush(aside)
        _swap(aside, path, old)
        _flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _swap(aside: Path, path: Path, old: Path) -> None:
    """Put `aside` at `path` and what stood there at `old`; when that fails, back."""
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(aside, path)
    except BaseException:
        if old.exists():
            os.replace(old, path)
        raise


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path | str, data: Any) -> None:
    """Write `data` as indented JSON, atomically."""
    with atomic_file(path) as aside:
        aside.write_text(json.dumps(data, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    """Read JSON. Raises `FrisketError` naming the file if it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise FrisketError(f"{path} does not exist") from None
    except (ValueError, RecursionError) as error:  # no JSON, no text, a number of thousands of digits; endless nesting
        raise FrisketError(f"{path} is not valid JSON: {error}") from None


def save_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors (any device) as one safetensors file, atomically. Shared storage is saved once per name. Raises
    `OSError` if the disk refuses, as a full one does."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    with atomic_file(path) as aside:
        try:
            save_file(plain, aside, metadata=dict(metadata or {}))
        except SafetensorError as error:  # what the library makes of every failed write
            raise OSError(f"{path} could not be written: {error}") from None


def load_tensors(path: Path | str, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Read a safetensors file. Raises `FrisketError` if it is missing, truncated, or another format (a pickle)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise FrisketError(f"{path} does not exist")
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise FrisketError(f"{path} is not a whole safetensors file ({error}); pickles are never loaded") from None

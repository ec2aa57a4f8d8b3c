"""Users' files: finding them in a stable order, splitting them, and going on past a few broken ones."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from frisket.core.errors import FrisketError, check
from frisket.data.base import Split

log = logging.getLogger("frisket.data")


class Skips:
    """Broken items met so far. Each is logged and counted once, by name; one more than `limit` raises.

    A loader's worker processes each hold a copy, so with workers the limit is per worker.
    """

    def __init__(self, limit: int, where: str):
        check(limit >= 0, "data.skip_limit", limit, "0 or more")
        self.limit, self.where, self.broken = limit, where, dict[str, str]()

    def add(self, name: object, error: object) -> None:
        """Note that item `name` could not be read. Raises `FrisketError` beyond the limit, naming the last one."""
        if str(name) in self.broken:
            return
        self.broken[str(name)] = reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("skipped a broken item (%d of at most %d): %s: %s", len(self.broken), self.limit, name, reason)
        if len(self.broken) > self.limit:
            raise FrisketError(
                f"{len(self.broken)} broken items in {self.where}, more than skip_limit = {self.limit}; "
                f"the last is {name}: {reason}"
            )


def existing(target: str, what: str) -> Path:
    """The path `target`. Raises `FrisketError` if nothing is there."""
    path = Path(target).expanduser()
    if not path.exists():
        raise FrisketError(f"{what}: {target!r} does not exist")
    return path


def regular_file(target: str, what: str) -> Path:
    """The path of the file `target`. Raises `FrisketError` if it is missing or not a file."""
    path = existing(target, what)
    if not path.is_file():
        raise FrisketError(f"{what}: {target!r} is not a file")
    return path


def list_files(folder: Path, suffixes: Iterable[str], what: str) -> list[Path]:
    """All files under `folder` with one of `suffixes` (lower case, with the dot), sorted by relative path; hidden ones
    are left out. Raises `FrisketError` if there is none."""
    if not folder.is_dir():
        raise FrisketError(f"{what}: {str(folder)!r} is not a folder")
    accepted = frozenset(suffixes)
    found = [p for p in folder.rglob("*") if p.suffix.lower() in accepted and p.is_file() and not _hidden(p, folder)]
    if not found:
        raise FrisketError(f"{what}: {str(folder)!r} holds no file ending in {', '.join(sorted(accepted))}")
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def digest_of(files: list[Path], folder: Path) -> str:
    """Identifies a list of files by relative path and size, without reading what may be a terabyte."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\n".encode())
    return total.hexdigest()[:12]


def whole_number(value: Any, classes: int = 0) -> int:
    """A label as found in a file. Raises `ValueError` if it is no whole number of 64 bits, or, where the set says how
    many `classes` it has, none of them."""
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63 or (classes and not 0 <= number < classes):
        raise ValueError(f"the label {str(number)[:40]} is not one of {classes or '2**63'} classes")
    return number


def in_split(number: int, split: Split, holdout: int) -> bool:
    """Whether item `number` of the sorted whole belongs to `split`: every `holdout`-th one is the test's."""
    return (number % holdout == holdout - 1) == (split == "test")


def check_split(split: str, holdout: int = 2) -> None:
    check(split in ("train", "test"), "split", split, "'train' or 'test'")
    check(holdout >= 2, "data.holdout", holdout, "2 or more (every holdout-th item is the test's)")


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)

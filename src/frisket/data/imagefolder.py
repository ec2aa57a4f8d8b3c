"""A folder of pictures: flat, or with one sub-folder per class; optionally with `train` and `test` above those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import Skips, check_split, digest_of, existing, in_split, list_files
from frisket.data.images import SUFFIXES, Broken, check_image, read_image


@register("data/imagefolder")
@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """Images float32 (b, channels, size, size) in [0, 1], and `label` int64 where there are class folders.

    Where `target` holds sub-folders `train` and `test`, those are the splits; else every `holdout`-th picture in
    order of relative path is the test's. A class is the first folder of that path; classes are numbered by sorted
    name. A broken picture is replaced by the next one that is whole (`id` says which), up to `skip_limit` broken
    ones.
    """

    target: str
    size: int = 64
    channels: int = 3
    holdout: int = 10
    skip_limit: int = 10

    def __post_init__(self):
        check_image(self.size, self.channels)

    def open(self, split: Split = "train") -> ImageFolderSource:
        """Raises `FrisketError` on a missing or empty folder, and on pictures both beside and inside class folders."""
        check_split(split, self.holdout)
        return ImageFolderSource(self, split)


class ImageFolderSource:
    """Pictures read when asked for."""

    def __init__(self, config: ImageFolder, split: Split):
        root = existing(config.target, "imagefolder")
        divided = (root / "train").is_dir() and (root / "test").is_dir()
        both = _classes(root / "train") | _classes(root / "test") if divided else _classes(root)
        folder = root / split if divided else root
        files = list_files(folder, SUFFIXES, "imagefolder")
        if not divided:
            files = [file for n, file in enumerate(files) if in_split(n, split, config.holdout)]
        if not files:
            raise FrisketError(f"imagefolder: {str(root)!r} holds too few pictures for a {split} split")
        self.config, self.files, self.skips = config, files, Skips(config.skip_limit, str(root))
        classes = tuple(sorted(both))
        first = [file.relative_to(folder).parts for file in files]
        self.labels = torch.tensor([classes.index(p[0]) for p in first]) if classes else None
        self.info = Info(
            kind="image", shape=(config.channels, config.size, config.size), size=len(files), classes=classes,
            digest=digest_of(files, root),
        )  # fmt: skip

    def batch(self, ids: Tensor) -> Batch:
        found = [self._whole(i) for i in ids.tolist()]
        taken = torch.tensor([i for i, _ in found], dtype=torch.int64)
        batch: Batch = {"x": torch.stack([x for _, x in found]), "id": taken}
        return batch if self.labels is None else {**batch, "label": self.labels[taken]}

    def _whole(self, wanted: int) -> tuple[int, Tensor]:
        """Picture `wanted`, or the next one that can be read."""
        for i in range(wanted, wanted + len(self.files)):
            i %= len(self.files)
            file = self.files[i]
            if str(file) in self.skips.broken:
                continue
            try:
                return i, read_image(file, self.config.size, self.config.channels)
            except Broken as error:
                self.skips.add(file, error)
        raise FrisketError(f"imagefolder: no picture of {self.skips.where!r} can be read")


def _classes(folder: Path) -> set[str]:
    """The class folders under `folder`; empty if the pictures lie directly in it."""
    parts = [file.relative_to(folder).parts for file in list_files(folder, SUFFIXES, "imagefolder")]
    names = {p[0] for p in parts if len(p) > 1}
    if names and any(len(p) == 1 for p in parts):
        raise FrisketError(f"imagefolder: {str(folder)!r} holds pictures both beside and inside class folders")
    return names

"""Where numbers go while training: a JSONL file always, TensorBoard, Weights & Biases or trackio by name.

metrics.jsonl holds only what the run determines (losses, norms, rates), so a resumed run's file equals a straight
run's byte for byte; what the clock determines goes to speed.jsonl.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from frisket.core.errors import FrisketError, MissingExtra, unknown
from frisket.core.files import atomic_file

NAMES = ("tensorboard", "wandb", "trackio")


class Tracker(Protocol):
    """Takes one record of numbers a call."""

    def write(self, step: int, record: Mapping[str, Any]) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


class Jsonl:
    """One JSON object a line, on disk after `sync`. Opening it drops the records after `step`: they will come again."""

    def __init__(self, path: Path, step: int):
        self.path = path
        truncate(path, step)
        self.file = path.open("a")

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        self.file.write(json.dumps({"step": step, **record}) + "\n")
        self.file.flush()

    def sync(self) -> None:
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def truncate(path: Path, step: int) -> None:
    """Keep the records up to `step`. A torn last line, as a killed process leaves, is dropped; a torn line elsewhere
    raises `FrisketError`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise FrisketError(f"{path}, line {number} is not JSON; restore or remove the file") from None
        if record["step"] > step:
            break
        kept.append(line if line.endswith("\n") else line + "\n")
    with atomic_file(path) as aside:
        aside.write_text("".join(kept))


class TensorBoard:
    """Scalars for TensorBoard under <run>/tensorboard; records after `step` are purged there."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int):
        _need("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            self.writer.add_scalar(name, value, step)

    def sync(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """One Weights & Biases run named after the run folder, continued by a stable id."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int):
        library = _need("wandb")
        self.run = library.init(
            project="frisket", name=run.name, id=_run_id(run), resume="allow", dir=str(run), config=dict(config)
        )

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        self.run.log(dict(record), step=step)

    def sync(self) -> None:
        """The library writes by itself."""

    def close(self) -> None:
        self.run.finish()


class Trackio:
    """One trackio run named after the run folder."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int):
        library = _need("trackio")
        self.run = library.init(project="frisket", name=run.name, resume="allow", config=dict(config))

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        self.run.log({"step": step, **record})

    def sync(self) -> None:
        """The library writes by itself."""

    def close(self) -> None:
        self.run.finish()


def _need(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError:
        raise MissingExtra(library, "track", f"the tracker {library!r}") from None


def _run_id(run: Path) -> str:
    import hashlib

    return hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]


def check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in NAMES:
            raise unknown("tracker", name, NAMES)


def open_trackers(names: Sequence[str], run: Path, config: Mapping[str, Any], step: int) -> list[Tracker]:
    """The trackers called `names`. Raises `MissingExtra` for one whose library is not installed."""
    check_names(names)
    kinds = {"tensorboard": TensorBoard, "wandb": Wandb, "trackio": Trackio}
    return [kinds[name](run, config, step) for name in names]

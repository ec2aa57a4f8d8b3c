"""The runs that `benchmarks.soak` kills: their commands, the child process, and what is compared afterwards."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tarfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")  # audit events
CLOCKED = ("speed.jsonl",)  # what the clock determines


@dataclass(frozen=True)
class Life:
    """An undisturbed run: its folder, wall-clock seconds, and operations on its folder."""

    folder: Path
    seconds: float
    operations: int


def variants(place: Path, steps: int) -> dict[str, Callable[[Path], list[str]]]:
    """What to train, by name: the words after `frisket`, given the run's folder."""
    plain = [
        "train", "dit", "--size", "tiny", "--model.width", "16", "--training.batch", "8", "--training.steps", str(steps),
        "--training.saving.every", "3", "--training.watching.every", "1",
    ]  # fmt: skip
    shards(place / "shards")
    stream = ["--data", f"wds:{place / 'shards'}", "--data.size", "8", "--data.channels", "1", "--data.buffer", "13"]
    more = {
        "plain": [],
        "micro-batches": ["--training.accumulate", "3"],
        "stream": stream,
        "workers": ["--training.workers", "2"],
        "stream read ahead": [*stream, "--training.workers", "1"],
    }
    return {name: lambda out, more=words: [*plain, *more, "--out", str(out)] for name, words in more.items()}


def shards(folder: Path) -> None:
    """Two tar files of 30 grey pictures each."""
    from PIL import Image

    folder.mkdir()
    for s in range(2):
        with tarfile.open(folder / f"{s}.tar", "w") as archive:
            for k in range(30):
                content = io.BytesIO()
                Image.frombytes("L", (8, 8), bytes((s * 97 + k * 31 + p * p) % 256 for p in range(64))).save(
                    content, "PNG"
                )
                member = tarfile.TarInfo(f"{s}{k:03}.png")
                member.size = content.tell()
                content.seek(0)
                archive.addfile(member, content)


def preload() -> None:
    """Import everything a run needs, so that a forked process starts at once."""
    import sklearn.datasets  # noqa: F401 - where the digits are
    import torch
    import tyro  # noqa: F401

    from frisket.core.registry import names
    from frisket.experiments.recipes import load_recipe
    from frisket.experiments.system import train  # noqa: F401

    torch.set_num_threads(1)
    names()
    load_recipe("dit")


def child(words: list[str], folder: Path, said: Path, at: float | None) -> NoReturn:
    """The main function of a forked process: run the command; at: the operation on `folder` to be killed before."""
    from frisket.cli import main

    os.setsid()
    for number in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    code, count, own, prefix = 70, 0, os.getpid(), str(folder)

    def seen(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in OPERATIONS or os.getpid() != own or not str(arguments[0]).startswith(prefix):
            return
        count += 1
        if at is not None and count > at:
            os.kill(own, signal.SIGKILL)

    sys.addaudithook(seen)
    try:
        code = main(words)
        if at is None:
            folder.with_suffix(".operations").write_text(str(count))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def left(folder: Path) -> set[str]:
    """Names of half-written and half-removed things in a run folder."""
    return {p.name for p in folder.glob(".*")} if folder.is_dir() else set()


def moment(folder: Path, before: set[str], steps: int) -> str:
    """What a process was doing when it was killed, as far as its folder tells."""
    new = left(folder) - before
    if any(".step-" in n and n.endswith(".tmp") for n in new):
        return "writing a checkpoint"
    if any(n.endswith(".old") for n in new):
        return "removing a checkpoint"
    if new:
        return "writing another file"
    done = sorted(folder.glob("step-*"))
    if done and int(done[-1].name.removeprefix("step-")) == steps:
        return "ending"
    return "training or starting again" if done else "starting or before the first checkpoint"


def determined(folder: Path) -> dict[str, bytes]:
    """Every file of a run folder but those of the clock, by relative path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in CLOCKED)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def compare(folder: Path, straight: Path) -> int:
    """How many bytes two runs share. Raises `SystemExit` naming the files if they differ in any."""
    ours, wanted = determined(folder), determined(straight)
    differing = sorted(n for n in {*ours, *wanted} if ours.get(n) != wanted.get(n))
    if differing:
        raise SystemExit(f"{folder} and {straight} differ in {', '.join(differing)}")
    return sum(map(len, ours.values()))


def check_steps(folder: Path, steps: int) -> None:
    """Raises `SystemExit` unless every step is recorded once, in order."""
    found = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    if found != list(range(1, steps + 1)):
        raise SystemExit(f"{folder} records the steps {found}")


def here() -> dict[str, dict[str, str]]:
    """Versions of what a run depends on."""
    from frisket.evaluation.report import library_versions

    return {"versions": library_versions("frisket", "torch", "numpy", "safetensors")}

"""What a run shows while it goes: a live line on a terminal, plain lines elsewhere, nothing on other ranks."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """Told of each logged record; closed at the end."""

    def show(self, step: int, record: Mapping[str, Any]) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def show(self, step: int, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Plain:
    """One line a record, at most one every `pause` seconds, on standard error."""

    def __init__(self, steps: int, start: int, pause: float = 2.0):
        self.steps, self.start, self.pause = steps, start, pause
        self.began = self.last = time.monotonic()

    def show(self, step: int, record: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self.last < self.pause and step < self.steps:
            return
        self.last = now
        rate = (step - self.start) / max(now - self.began, 1e-9)
        self.say(
            f"step {step}/{self.steps}  {numbers(record)}  {rate:.2f} step/s  {left(self.steps - step, rate)} left"
        )

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to take down."""


class Live:
    """A live bar by rich: step, rate, time left, loss."""

    def __init__(self, steps: int, start: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.bar = Bar(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(), console=Console(stderr=True),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=steps, completed=start, note="")
        self.began, self.start = time.monotonic(), start
        self.bar.start()

    def show(self, step: int, record: Mapping[str, Any]) -> None:
        rate = (step - self.start) / max(time.monotonic() - self.began, 1e-9)
        self.bar.update(self.task, completed=step, note=f"{numbers(record)}  {rate:.2f} step/s")

    def say(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self.bar.stop()


def numbers(record: Mapping[str, Any]) -> str:
    """The loss and the gradient's norm, short."""
    return "  ".join(f"{k} {record[k]:.4g}" for k in ("loss", "grad_norm") if k in record)


def left(steps: int, rate: float) -> str:
    """Time for `steps` at `rate` a second, as m:ss or h:mm:ss."""
    if rate <= 0:
        return "-:--"
    minutes, seconds = divmod(round(steps / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def progress(steps: int, start: int, first: bool) -> Progress:
    """The display that fits: live on a terminal, plain lines otherwise, silent for all but the first process."""
    if not first:
        return Silent()
    return Live(steps, start) if sys.stderr.isatty() else Plain(steps, start)

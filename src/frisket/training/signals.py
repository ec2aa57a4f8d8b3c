"""SIGTERM and SIGINT ask a run to save and stop at the next step; a second one ends the process at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT
WATCHED = (SIGTERM, SIGINT)


@dataclass
class Asked:
    """Which signal has come, if any."""

    number: int = 0

    def is_set(self, number: int) -> bool:
        return self.number == number


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Note signals while the block runs, then put the handlers back. Outside the main thread nothing is watched."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in WATCHED}

    def note(number: int, frame: FrameType | None) -> None:
        asked.number = number
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for number in WATCHED:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

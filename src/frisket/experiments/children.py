"""Processes that work for this one. SIGTERM is passed on to them: a training among them saves, and the same call goes on
from there."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Children:
    """The processes now running. stopped: whether they were told to end; none begins after that."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self._lock = threading.RLock()

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """The exit code of `command`, its output in the file `log`. Raises `SystemExit` (code 0) if it was told to end."""
        with log.open("w") as out:
            with self._lock:
                if self.stopped:
                    raise SystemExit(0)
                process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
                self.running.add(process)
            try:
                code = process.wait()
            finally:
                self.running.discard(process)
        if self.stopped:
            raise SystemExit(0)
        return code

    def stop(self) -> None:
        """Tell all to end."""
        with self._lock:
            self.stopped = True
            for process in self.running:
                process.terminate()


@contextmanager
def children() -> Iterator[Children]:
    """`Children` whom SIGTERM reaches while the block runs. Outside the main thread no signal is watched."""
    own = Children()
    if threading.current_thread() is not threading.main_thread():
        yield own
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        own.stop()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield own
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)

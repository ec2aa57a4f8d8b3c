"""Kill training runs at random moments, let the same command go on, compare what comes out with an undisturbed run.

    python -m benchmarks.soak --kills 100 --out benchmarks/results/soak.json

Each run is `frisket train dit --size tiny` in a process of its own, ended by SIGKILL again and again until it comes
through. Three ways to choose the moment: a time drawn over the life of an undisturbed process (forked from one that has
imported everything); the same over a fresh interpreter's life, its start-up included; a file operation of the run folder
drawn among all that an undisturbed process makes, so that every gap between two of them is hit. Every file that a run
determines must equal the undisturbed run's, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import soak_runs
from benchmarks.soak_runs import Life

HOW = {"time": 4, "file operation": 4, "fresh process": 1}  # with how often each is chosen


@dataclass
class Tally:
    """What happened so far."""

    kills: int = 0
    starts: int = 0
    runs: int = 0
    compared: int = 0
    how: Counter = field(default_factory=Counter)
    where: Counter = field(default_factory=Counter)
    variants: Counter = field(default_factory=Counter)
    times_killed: Counter = field(default_factory=Counter)


def start(words: list[str], folder: Path, how: str, at: float) -> int:
    """One process of the command; its exit code, -9 if it was killed. at: when to kill it, in seconds or operations."""
    said = folder.with_suffix(".said")
    if how == "fresh process":
        with said.open("a") as log:
            command = [sys.executable, "-m", "frisket", *words]
            pid = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True).pid
    else:
        pid = os.fork()
        if not pid:
            soak_runs.child(words, folder, said, at if how == "file operation" else None)
    deadline = None if how == "file operation" else time.monotonic() + at
    done, status = os.waitpid(pid, os.WNOHANG)
    while not done:
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = None
        time.sleep(0.002)
        done, status = os.waitpid(pid, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # loader workers of a killed process
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"frisket {' '.join(words)} ended with {code}:\n{said.read_text()[-3000:]}")
    return code


def reference(words: Callable[[Path], list[str]], folder: Path, how: str) -> Life:
    """An undisturbed run: how long it takes, and how many operations on its folder it makes."""
    began = time.monotonic()
    start(words(folder), folder, how, 1e9)
    seconds = time.monotonic() - began
    counted = folder.with_suffix(".operations")
    return Life(folder, seconds, int(counted.read_text()) if counted.is_file() else 0)


def survive(words: list[str], folder: Path, life: dict[str, Life], steps: int, kills: int, draw, tally: Tally) -> int:
    """Kill the run up to `kills` times until it comes through; how often it was killed."""
    killed = 0
    while True:
        how = draw.choices(list(life), [HOW[name] for name in life])[0]
        most = life[how].operations if how == "file operation" else life[how].seconds
        at = 1e9 if killed >= kills else draw.uniform(0, most)
        before = soak_runs.left(folder)
        tally.starts += 1
        if start(words, folder, how, at) == 0:
            return killed
        killed += 1
        tally.how[how] += 1
        tally.where[soak_runs.moment(folder, before, steps)] += 1


def soak(
    kills: int, steps: int, seed: int, place: Path, fresh: bool = True, say: Callable[[str], None] = print
) -> Tally:
    """Kill `kills` times. fresh: some of them in processes that start from nothing. Raises `SystemExit` naming the files
    if a run ends differently from the undisturbed one."""
    variants = soak_runs.variants(place, steps)
    draw, tally = random.Random(seed), Tally()
    lives: dict[str, dict[str, Life]] = {}
    born: Life | None = None
    while tally.kills < kills:
        name = list(variants)[tally.runs % len(variants)]
        words, folder = variants[name], place / f"run-{tally.runs}"
        if name not in lives:
            life = reference(words, place / f"reference-{len(lives)}", "time")
            soak_runs.check_steps(life.folder, steps)
            lives[name] = {"time": life, "file operation": life}
            if fresh and born is None:
                born = reference(words, place / "reference-fresh", "fresh process")
                soak_runs.compare(born.folder, life.folder)
            if born is not None:
                lives[name]["fresh process"] = born
        killed = survive(words(folder), folder, lives[name], steps, kills - tally.kills, draw, tally)
        tally.compared += soak_runs.compare(folder, lives[name]["time"].folder)
        soak_runs.check_steps(folder, steps)
        tally.kills, tally.runs = tally.kills + killed, tally.runs + 1
        tally.variants[name] += killed
        tally.times_killed[str(killed)] += 1
        shutil.rmtree(folder)
        say(f"{name}: killed {killed} times, equal; {tally.kills} of {kills} kills")
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how many")
    parser.add_argument("--steps", type=int, default=12, help="steps of each run; a checkpoint every third")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", help="JSON file to write")
    parser.add_argument("--forked", action="store_true", help="fork every process, start none from nothing (faster)")
    options = parser.parse_args()
    soak_runs.preload()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="frisket-soak-") as place:
        tally = soak(
            options.kills, options.steps, options.seed, Path(place), not options.forked,
            lambda text: print(text, flush=True),
        )  # fmt: skip
    result = {
        "protocol": "SIGKILL at random moments, the same command again until it ends; weights, averages, optimiser "
        "state, counters, metrics and saved model compared with an undisturbed run's byte for byte; every step recorded "
        "once; nothing half written left in the folder",
        "command": "frisket train dit --size tiny, small width, a checkpoint every third step",
        "kills": tally.kills, "restarts": tally.starts - tally.runs, "runs": tally.runs, "steps": options.steps,
        "files_that_differ": 0, "bytes_compared": tally.compared, "kills_by": dict(tally.how),
        "kills_while": dict(tally.where.most_common()), "kills_of": dict(tally.variants),
        "runs_by_times_killed": dict(sorted(tally.times_killed.items(), key=lambda pair: int(pair[0]))),
        "seed": options.seed, "seconds": round(time.monotonic() - began), **soak_runs.here(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if options.out:
        from frisket.core.files import write_json

        write_json(options.out, result)


if __name__ == "__main__":
    main()

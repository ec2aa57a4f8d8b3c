"""What the speed and memory benchmarks share: interleaved timing, ratios of paired rounds, the machine, the report.

Arms are timed in turn within each round (A B C, A B C ...), so a disturbance of the machine meets all of them, and two
arms are compared by the median of their ratios round by round. The reference for "how fast could it be" is a large
matrix product timed as one more arm of the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PEAK = "matrix product"
SIDE = 1024  # of the square matrices of the reference


@dataclass(frozen=True)
class Times:
    """Seconds of one arm, one entry a round: wall clock, and processor time of all threads together."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


def interleaved(arms: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[str, Times]:
    """Time every arm once a round, after `warm` rounds that are not counted."""
    out = {name: Times() for name in arms}
    for number in range(warm + rounds):
        for name, call in arms.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            if number >= warm:
                out[name].wall.append(wall)
                out[name].processor.append(processor)
    return out


def ratio(slow: Times, fast: Times) -> dict[str, float]:
    """How many times as long `slow` takes as `fast`: median, lower and upper quartile over the rounds by the wall clock,
    and the median by processor time, which others on the machine disturb less."""
    wall = [a / b for a, b in zip(slow.wall, fast.wall, strict=True)]
    low, _, high = statistics.quantiles(wall, n=4, method="inclusive") if len(wall) > 1 else (wall[0],) * 3
    processor = statistics.median(a / max(b, 1e-9) for a, b in zip(slow.processor, fast.processor, strict=True))
    return {"median": statistics.median(wall), "lower": low, "upper": high, "processor": processor}


def matrix_product() -> Callable[[], Any]:
    """The reference arm: a product of two square float32 matrices."""
    a, b = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE)
    return lambda: a @ b


def peak(times: Times) -> float:
    """Floating-point operations a second of the reference arm: the median of its rounds."""
    return 2 * SIDE**3 / times.median


def rows_of(times: Mapping[str, Times], operations: float, base: str) -> list[dict[str, Any]]:
    """One row an arm: median seconds, how many times as fast as `base`, and the share of the reference that its useful
    `operations` reach (equal for all arms, so work that an arm does twice does not count)."""
    rows = []
    for name, arm in times.items():
        if name == PEAK:
            continue
        faster = ratio(times[base], arm)
        share = operations / arm.median / peak(times[PEAK])
        rows.append({"arm": name, "seconds": arm.median, "times_as_fast": faster, "share_of_peak": share})
    return rows


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """`rows_of` as text."""
    lines = [title, f"  {'':34} {'ms':>9} {'x base':>7} {'quartiles':>13} {'x by cpu':>8} {'of peak':>8}"]
    for row in rows:
        r = row["times_as_fast"]
        spread = f"{r['lower']:.2f}-{r['upper']:.2f}"
        lines.append(
            f"  {row['arm']:34} {row['seconds'] * 1e3:9.2f} {r['median']:7.2f} {spread:>13} {r['processor']:8.2f} "
            f"{row['share_of_peak']:8.1%}"
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the numbers were taken on and with."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "processor": _processor(), "cores": os.cpu_count(),
        "threads": torch.get_num_threads(), "load_at_start": round(os.getloadavg()[0], 2),
        "system": platform.platform(), "python": platform.python_version(), "torch": torch.__version__,
        "diffusers": version("diffusers"),
    }  # fmt: skip


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = [x.split(":", 1)[1].strip() for x in path.read_text().splitlines() if x.startswith("model name")] \
        if path.is_file() else []  # fmt: skip
    return names[0] if names else platform.processor() or platform.machine()


def parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    out = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--out", type=Path, help="write the result as JSON")
    out.add_argument("--quick", action="store_true", help="a few seconds: shows that it runs, not how fast")
    out.add_argument("--rounds", type=int, default=rounds)
    out.add_argument("--threads", type=int, default=2)
    return out


def report(result: Mapping[str, Any], out: Path | None) -> None:
    """Write `result` where `--out` says."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + "\n")

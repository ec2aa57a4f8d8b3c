"""How long `import frisket` takes beyond torch, and `frisket --help`: python benchmarks/startup.py OUT.json

Each number is the median of several fresh processes, in seconds, with their spread beside it.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 7


def seconds(*command: str) -> list[float]:
    """Wall time of a fresh process, once a repeat, after one run that warms the file cache."""
    out = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        out.append(time.perf_counter() - start)
    return out[1:]


def beyond_torch() -> list[float]:
    """Seconds of `import frisket.core` in a process that has imported torch."""
    code = "import time, torch; t = time.perf_counter(); import frisket, frisket.core; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(REPEATS + 1)]
    return [float(r.stdout) for r in runs][1:]


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def main(out: str) -> None:
    """Measure, print and write `out`."""
    python = sys.executable
    result = {
        "protocol": f"median of {REPEATS} fresh processes after one warm-up, seconds of wall time",
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()},
        "import_torch": summary(seconds(python, "-c", "import torch")),
        "import_frisket_beyond_torch": summary(beyond_torch()),
        "frisket_help": summary(seconds(python, "-m", "frisket", "--help")),
    }
    Path(out).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "startup.json")

"""Images of 32x32 a second on one thread: drawing and rendering rgb, and a whole batch with captions and labels.

python benchmarks/scenes.py --out scenes.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from frisket.data.scenes import Scenes, draw, render_table
from frisket.data.scenes.outlines import outlines

BATCH = 256


def rate(make: Callable[[torch.Tensor], object], repeats: int) -> dict[str, float]:
    """Items a second of `repeats` batches of new ids after one to warm up: by the wall clock, and by processor time,
    which others on the machine disturb less."""
    make(torch.arange(BATCH))
    wall, processor = [], []
    for i in range(1, repeats + 1):
        start = time.perf_counter(), time.process_time()
        make(torch.arange(BATCH) + i * BATCH)
        wall.append(BATCH / (time.perf_counter() - start[0]))
        processor.append(BATCH / (time.process_time() - start[1]))
    return {
        "wall median": round(statistics.median(wall)), "wall slowest": round(min(wall)),
        "wall fastest": round(max(wall)), "processor median": round(statistics.median(processor)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    outlines()
    config = Scenes()
    source = config.open("train")
    result = {
        "what": "scenes of 32x32, items a second on one thread",
        "rgb": rate(lambda ids: render_table(draw(0, ids, "train", config.dial), config.size), args.repeats),
        "batch with captions": rate(source.batch, args.repeats),
        "batch": BATCH, "repeats": args.repeats, "digest": source.info.digest, "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

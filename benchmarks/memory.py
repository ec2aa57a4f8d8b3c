"""Peak memory with and without what saves it: recomputed activations, accumulated gradients, sampling in smaller batches.

    python -m benchmarks.memory --out benchmarks/results/memory.json

Every arm runs in a fresh process, which reports the highest resident memory the system has seen of it, before the work
and after, and what it computed: the loss after two updates, or a digest of the samples. Arms of one pair must agree in
that. Sampling many digits also records the resident memory after each batch.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAIRS = {
    "recompute": ("plain", "recompute"),
    "accumulate": ("plain", "accumulate"),
    "sampling": ("at once", "in batches"),
}
MEASURES = (*PAIRS, "profile")
SIZES = {
    False: {"width": 128, "depth": 8, "batch": 32, "pieces": 8, "samples": 256, "digits": 2000},
    True: {"width": 64, "depth": 4, "batch": 8, "pieces": 4, "samples": 64, "digits": 128},
}


def highest() -> float:
    """The peak of resident memory in MiB. The kernel's own mark of this address space where there is one: `ru_maxrss`
    starts from that of the process which started this one."""
    mark = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if mark is None else mark


def resident() -> float:
    """Resident memory now in MiB; nan where the system does not say."""
    now = _status("VmRSS")
    return math.nan if now is None else now


def _status(field: str) -> float | None:
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith(f"{field}:")), None)


def worker(arm: str, quick: bool) -> dict[str, Any]:
    """One arm, in this process."""
    import torch

    torch.set_num_threads(1)
    size = SIZES[quick]
    if arm == "profile":
        return profile(size, quick)
    if arm in PAIRS["sampling"]:
        return sampling(arm, size, quick)
    return training(arm, size)


def training(arm: str, size: dict[str, int]) -> dict[str, Any]:
    """Two updates of a DiT on 32x32 scenes, 256 tokens a sample."""
    from dataclasses import replace

    from frisket.data.scenes.source import Scenes
    from frisket.experiments.recipes import load_recipe
    from frisket.experiments.system import build
    from frisket.models.backbones.transformer import Transformer
    from frisket.models.block import Block, repeat
    from frisket.models.doors import Door
    from frisket.models.layers.ends import Patches
    from frisket.training.parallel import Layout

    base = load_recipe("dit").experiment("tiny")
    model = Transformer(
        width=size["width"], heads=4, input=Patches(patch=2), doors=(Door(),), blocks=repeat(Block(), size["depth"])
    )
    assert base.training is not None
    trainer = replace(
        base.training, batch=size["batch"], steps=2, accumulate=size["pieces"] if arm == "accumulate" else 1,
        layout=Layout(device="cpu", recompute=arm == "recompute"),
    )  # fmt: skip
    experiment = replace(base, data=Scenes(size=(32, 32)), model=model, training=trainer).fit()
    task, _, source = build(experiment)
    before = highest()
    with tempfile.TemporaryDirectory() as folder:
        result = trainer.fit(task, source, folder)
    return {"before": before, "peak": highest(), "loss": result.record["loss"], "grad_norm": result.record["grad_norm"]}


def sampler(quick: bool) -> Any:
    """The small recipe's pipeline, untrained: weights do not change what sampling holds in memory."""
    from frisket.experiments.recipes import load_recipe
    from frisket.experiments.system import build

    pipeline = build(load_recipe("dit").experiment("tiny" if quick else "small").fit())[1]
    pipeline.model.eval()
    return pipeline


def sampling(arm: str, size: dict[str, int], quick: bool) -> dict[str, Any]:
    """Digits in one batch or in eight."""
    pipeline, n = sampler(quick), size["samples"]
    before = highest()
    made = pipeline.sample(n, steps=2, batch=n if arm == "at once" else max(1, n // 8), **pipeline.in_turn(n))
    return {"before": before, "peak": highest(), "sum": float(made.double().sum()), "norm": float(made.double().norm())}


def profile(size: dict[str, int], quick: bool, batch: int = 64) -> dict[str, Any]:
    """Resident memory after every batch of a long run of sampling."""
    pipeline = sampler(quick)
    before, seen = highest(), []
    for first in range(0, size["digits"], batch):
        n = min(batch, size["digits"] - first)
        pipeline.sample(n, steps=2 if quick else 10, batch=batch, first=first, **pipeline.in_turn(n, first))
        seen.append(round(resident(), 1))
    return {
        "before": before,
        "peak": highest(),
        "digits": size["digits"],
        "batch": batch,
        "resident": seen,
        **flat(seen),
    }


def flat(seen: Sequence[float]) -> dict[str, float]:
    """Growth in MiB of a memory profile: over everything behind the first batch, and over its second half."""
    half = len(seen) // 2
    return {"growth": max(seen[1:] or seen) - seen[0], "growth_second_half": max(seen[half:]) - seen[half]}


def compare(plain: dict[str, Any], saving: dict[str, Any]) -> dict[str, Any]:
    """Memory above what was there before the work, and how far the two arms' numbers are apart."""
    above = [arm["peak"] - arm["before"] for arm in (plain, saving)]
    numbers = [k for k in plain if k not in ("before", "peak")]
    apart = {k: abs(plain[k] - saving[k]) / max(abs(plain[k]), 1e-12) for k in numbers}
    return {
        "above_start_mib": above, "share": above[1] / max(above[0], 1e-9), "peak_mib": [plain["peak"], saving["peak"]],
        "relative_difference": apart,
    }  # fmt: skip


def fresh(arm: str, quick: bool) -> dict[str, Any]:
    """`worker(arm)` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--worker", arm, *(["--quick"] if quick else [])]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"the arm {arm!r} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, help="write the result as JSON")
    options.add_argument("--quick", action="store_true", help="a few seconds: shows that it runs")
    options.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    args = options.parse_args(argv)
    if args.worker:
        found = worker(args.worker, args.quick)
        print(json.dumps(found))
        return found
    from benchmarks.common import machine, report  # torch stays out of a process that only starts others until here

    result: dict[str, Any] = {
        "what": "peak resident memory in MiB, each arm in a fresh process of one thread", "preliminary": args.quick,
        "sizes": SIZES[args.quick], "machine": machine(),
    }  # fmt: skip
    for name in args.measure or MEASURES:
        if name == "profile":
            result[name] = fresh("profile", args.quick)
            print(f"profile: {result[name]}")
            continue
        arms = {arm: fresh(arm, args.quick) for arm in PAIRS[name]}
        result[name] = {"arms": arms, **compare(*arms.values())}
        print(f"{name}: {result[name]}")
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()

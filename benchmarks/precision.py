"""Does lower precision train as well? The same run in fp32, bf16 and fp16, compared by held-out loss.

    python -m benchmarks.precision --out benchmarks/results/precision.json

Each precision trains `dit` at `small` on the same samples with the same noise; the loss of the averaged weights on held-out
items is then computed in fp32 on the same grid of times and noise. Wanted: within 1 % of fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from frisket.core.config import override
from frisket.core.files import write_json
from frisket.evaluation.heldout import HeldoutLoss
from frisket.evaluation.intervals import bootstrap_mean
from frisket.evaluation.report import library_versions
from frisket.experiments.experiment import Experiment
from frisket.experiments.measures import held_out
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import train

PRECISIONS = ("fp32", "bf16", "fp16")
WITHIN = 0.01


def trained(experiment: Experiment, precision: str, place: Path, n: int) -> tuple[HeldoutLoss, float]:
    """Held-out loss after training in `precision`, and the seconds that training took."""
    began = time.monotonic()
    pipeline = train(override(experiment, "training.layout.precision", precision), place / precision, quiet=True)
    return held_out(pipeline, experiment.data, n), time.monotonic() - began


def against(loss: HeldoutLoss, wanted: HeldoutLoss) -> dict[str, Any]:
    """The relative difference of two losses, with an interval by resampling their paired items."""
    scale = float(wanted.each.mean())
    paired = bootstrap_mean((loss.each - wanted.each).mean(axis=1) / scale, seed=0, resamples=1000)
    return {**paired.as_dict(), "within": abs(paired.value) <= WITHIN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="small", help="tiny or small")
    parser.add_argument("--steps", type=int, help="training steps; default: the recipe's")
    parser.add_argument("--items", type=int, default=256, help="held-out items")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data order and noise")
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    experiment = load_recipe("dit").experiment(options.size)
    assert experiment.training is not None
    steps = options.steps or experiment.training.steps
    changes = {"seed": options.seed, "steps": steps}
    experiment = replace(experiment, training=replace(experiment.training, **changes))
    with tempfile.TemporaryDirectory(prefix="frisket-precision-") as place:
        found = {p: trained(experiment, p, Path(place), options.items) for p in PRECISIONS}
    losses = {name: loss for name, (loss, _) in found.items()}
    result = {
        "protocol": "dit trained once a precision from the same weights, samples and noise; held-out loss in fp32 of the "
        "averaged weights on the same items, times and noise; relative difference to fp32 with a paired interval",
        "size": options.size, "steps": steps, "seed": options.seed,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "losses": {name: loss.mean.as_dict() for name, loss in losses.items()},
        "relative_to_fp32": {name: against(losses[name], losses["fp32"]) for name in PRECISIONS[1:]},
        "wanted": f"within {WITHIN:.0%} of fp32",
        "training_seconds": {name: round(seconds, 1) for name, (_, seconds) in found.items()},
        "versions": library_versions("frisket", "torch", "numpy"),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()

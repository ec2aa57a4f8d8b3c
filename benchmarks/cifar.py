"""Training accelerators on CIFAR-10 at an equal time on the clock: which gives the best samples after the same minutes?

    python -m benchmarks.cifar --data cifar10 --minutes 20 --precision bf16 \
        --out benchmarks/results/cifar.json --pictures docs/cifar

Arms: a class-conditional SiT in pixels of DiT-S/2's width and depth, and the same with tread, sprint, mdt (its own
blocks), repa or sra. A short probe measures what a step of each arm takes on this machine; each then trains for as many
steps as fit into the minutes, so that schedules and phases that run over the steps end where they should. The small
encoder of repa is trained before, and is stated in FLOPs. Frechet distance is on features of a classifier of CIFAR-10
itself, with its accuracy and what as many training images score beside it; a sheet of samples of each arm is written for
eyes. The folder holds train.parquet and test.parquet with the columns `image` and `label`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.common import machine, parser, report
from frisket.codecs.pixels import Pixels
from frisket.data.base import Data
from frisket.data.digits import Digits
from frisket.data.hf import HuggingFace
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.pictures import save_sheet
from frisket.experiments.experiment import Experiment, train_flops
from frisket.experiments.measures import held_out, score_samples
from frisket.experiments.phases import inner, make
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import train
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.recipes import mdt
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.parallel import Layout
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

METHODS = ("tread", "sprint", "repa", "sra")
FIRST, PROBE = 8, 40  # steps of the two probes whose difference is timed


def plain(data: Data, *, width: int, depth: int, batch: int, precision: str = "fp32") -> Experiment:
    """The system that every method is put on."""
    return Experiment(
        name="cifar-dense", data=data, codec=Pixels(), process=Gaussian(),
        model=Transformer(
            width=width, heads=max(1, width // 64), input=Patches(patch=2), doors=(Door(),), blocks=repeat(Block(), depth)
        ),
        training=Trainer(
            batch=batch, optimiser=AdamW(lr=5e-4), schedule=Cosine(), emas=(Power(width=0.1),),
            layout=Layout(precision=precision), workers=4 if torch.cuda.is_available() else 0,
        ),
        sampler=Sampler(steps=25, update=Heun(), guidance=cfg(1.5)),
    )  # fmt: skip


def arms(base: Experiment) -> dict[str, Experiment]:
    """The system alone and with each method; mdt brings a network of the same width, heads and depth."""
    assert isinstance(base.model, Transformer)
    masked = replace(mdt.network(base.model.width, len(base.model.blocks), 2), heads=base.model.heads)
    out = {"dense": base} | {name: load_recipe(name).added(base) for name in METHODS}
    out |= {"mdt": replace(base, model=masked, task=mdt.TWICE)}
    return {name: replace(arm, name=f"cifar-{name}") for name, arm in out.items()}


def of_steps(experiment: Experiment, steps: int) -> Experiment:
    """The same run, `steps` long."""
    assert experiment.training is not None
    schedule = Cosine(warmup=min(500, steps // 10))
    return replace(experiment, training=replace(experiment.training, steps=steps, schedule=schedule))


def step_seconds(experiment: Experiment, made: Path) -> float:
    """What a step takes, phases over the steps in their proportions; building and saving cancel out."""
    taken = []
    for steps in (FIRST, PROBE):
        with TemporaryDirectory() as folder:
            start = time.perf_counter()
            train(of_steps(experiment, steps), Path(folder) / "run", quiet=True, made=made)
            taken.append(time.perf_counter() - start)
    return max(taken[1] - taken[0], 1e-6) / (PROBE - FIRST)


def frechet(pipeline: Pipeline, data: Data, n: int, features: Classifier) -> dict[str, Any]:
    """Frechet distance of n samples, what training images score, and how good the classifier is."""
    found = score_samples(pipeline, data, n=n, measures=["frechet"], features=features, batch=256)
    return {**found["metrics"]["frechet"], "feature_accuracy": found["feature_accuracy"]}


def measure(
    base: Experiment, seconds: float, n: int, features: Classifier, folder: Path, pictures: Path | None
) -> list[dict[str, Any]]:
    """A row an arm."""
    made, rows = folder / "made", []
    each = arms(base)
    for name, arm in each.items():
        for phase in inner(arm):  # so that no probe pays for it
            make(phase, made, lambda one, place: train(one, place, quiet=True, made=made))
        took = step_seconds(arm, made)
        sized = of_steps(arm, max(PROBE, int(seconds / took)))
        start = time.perf_counter()
        pipeline = train(sized, folder / name, quiet=True, made=made)
        row = {
            "arm": name, "steps": sized.training.steps if sized.training else 0, "step_seconds": took,
            "train_seconds": time.perf_counter() - start, "train_flops": train_flops(sized.fit()),
            "flops_before": sum(train_flops(phase.fit()) for phase in inner(arm)),
            "loss": held_out(pipeline, base.data, min(n, 2000)).mean.value,
            "frechet": frechet(pipeline, base.data, n, features),
        }  # fmt: skip
        if pictures:
            save_sheet(pictures / f"{name}.png", pipeline.sample(64, seed=0, label=torch.arange(64) % 10), columns=16)
        rows.append(row)
        print(
            f"{name:8} {row['steps']:8,} steps  loss {row['loss']:.4f}  frechet {row['frechet']['value']:.3f}",
            flush=True,
        )
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--data", help="folder of train.parquet and test.parquet")
    options.add_argument("--minutes", type=float, default=20.0, help="of training, for every arm")
    options.add_argument("--precision", default="fp32", help="fp32, bf16 or fp16")
    options.add_argument("--samples", type=int, default=10_000)
    options.add_argument("--pictures", type=Path, help="folder for a sheet of samples of each arm")
    given = options.parse_args(argv)
    torch.set_num_threads(given.threads)
    if given.quick:
        base, seconds, n = plain(Digits(), width=32, depth=3, batch=8), 0.0, 64
        features = Classifier(width=4, steps=20)
    else:
        data = HuggingFace(target=given.data, size=32, test_split="test")
        base = plain(data, width=384, depth=12, batch=256, precision=given.precision)
        seconds, n = 60 * given.minutes, given.samples
        features = Classifier(width=48, steps=6000, batch=128, shift=3)
    with TemporaryDirectory() as folder:
        rows = measure(base, seconds, n, features, Path(folder), given.pictures)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    report({"machine": machine() | {"device": device}, "minutes": seconds / 60, "samples": n, "arms": rows}, given.out)


if __name__ == "__main__":
    main()

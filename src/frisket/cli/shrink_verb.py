"""`frisket shrink CKPT --with tinyfusion`: prune a trained model, let it recover, and compare with simpler pruning."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from frisket.cli.options import parse
from frisket.cli.targets import data_of, load_experiment

ABOUT = (
    "Make a smaller model of a trained one. tinyfusion learns which blocks to drop, ecodiff which attention heads and "
    "hidden units; both then recover by distillation from the original. Random, magnitude and (for blocks) interval "
    "pruning of the same size get the same recovery, and the report says how all of them came out."
)
LR = 2e-4  # where the run that made the model is not known


@dataclass
class Shrink:
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """run folder, model folder or hub id"""
    method: Annotated[str, tyro.conf.arg(aliases=["--with"])] = "tinyfusion"
    """tinyfusion (whole blocks) or ecodiff (heads and hidden units)"""
    keep: float | None = None
    """share that stays: of blocks (default 0.5), or of heads and hidden units (default 0.75)"""
    data: str | None = None
    """data to search and recover on; default: the set the run learnt from"""
    search: int = 200
    """steps of the search"""
    recovery: int = 300
    """steps of distillation after it; 0 for none (ecodiff as published)"""
    batch: int = 32
    """samples a step"""
    lr: float | None = None
    """learning rate of weights; default: half the run's own, 2e-4 where no run is known"""
    through: int = 10
    """steps of the sampler that ecodiff learns through, at most the model's own"""
    n: int = 500
    """held-out items that are scored"""
    out: str | None = None
    """folder of the result; default: runs/shrunk-NAME"""
    seed: int = 0
    """seed of everything"""


def main(argv: list[str]) -> int:
    from frisket.experiments.shrinking import Plan, shrink
    from frisket.experiments.system import load

    options, _ = parse(Shrink, argv, "shrink", ABOUT)
    plan = Plan(
        method=options.method, keep=options.keep, search=options.search, recovery=options.recovery,
        batch=options.batch, lr=learning_rate(options), through=options.through, items=options.n, seed=options.seed,
    )  # fmt: skip
    data = data_of(options.checkpoint, options.data, load(options.checkpoint).info)
    folder = Path(options.out or Path("runs") / f"shrunk-{Path(options.checkpoint).name}")
    _, variants = shrink(lambda: load(options.checkpoint), data, plan, folder)
    report(folder, plan, variants, f"frisket shrink {shlex.join(argv)}")
    print(f"model: {folder / 'model'}\nreport: {folder / 'report.html'}\nsample it: frisket sample {folder}")
    return 0


def learning_rate(options: Shrink) -> float:
    """The rate asked for, else half of that of the run that made the model."""
    if options.lr is not None:
        return options.lr
    experiment = load_experiment(options.checkpoint)
    training: Any = None if experiment is None else experiment.training
    return LR if training is None else training.optimiser.lr / 2


def report(folder: Path, plan: Any, variants: list, command: str) -> None:
    """report.html and report.json beside the model."""
    from frisket.evaluation.report import Report, library_versions, write_report
    from frisket.experiments.paper import bibtex
    from frisket.experiments.shrinking import section
    from frisket.tasks import depth_search, width_search

    cite = {"tinyfusion": depth_search.CITE, "ecodiff": width_search.CITE}[plan.method]
    write_report(
        folder,
        Report(
            title=f"Shrunk with {plan.method}", sections=[section(plan, variants)], config=asdict(plan),
            versions=library_versions(), seed=plan.seed, command=command, citations=[bibtex(cite)],
            results={"variants": [asdict(v) for v in variants]},
        ),
    )  # fmt: skip

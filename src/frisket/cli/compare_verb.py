"""`frisket compare A B ...`: recipes and variants of them, equal budget, several seeds, table and plot with intervals."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from frisket.cli.options import apply, parse
from frisket.core.errors import FrisketError, check
from frisket.data.base import parse_data
from frisket.experiments.experiment import Experiment
from frisket.experiments.recipes import load_recipe

ABOUT = (
    "Train every arm with the same seeds at an equal budget and compare them pair by pair. An arm is a recipe, or a "
    "recipe with changes: dit, pit, 'dit,model.depth=8,process.path=cosine'. The first is the baseline."
)


@dataclass
class Compare:
    arms: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="ARM")]
    """two or more arms, RECIPE[,field=value...]"""
    size: str = "small"
    """size of every recipe: tiny, small or paper"""
    data: str | None = None
    """one data set for all arms; default: the recipes' own, which must agree"""
    measure: Annotated[list[str], tyro.conf.arg(aliases=["--measures"])] | None = None
    """what to measure: loss, bits, or metrics of samples (frechet, kid, class_accuracy ...); default: loss"""
    seeds: int = 3
    """seeds of every arm, at least 3"""
    steps: int | None = None
    """training steps of the arms; default: the recipes' own"""
    budget: Literal["steps", "flops"] = "steps"
    """what is held equal; with flops, cheaper arms train for more steps"""
    procs: int = 2
    """training processes at a time, one thread each"""
    out: str = "runs/compare"
    """folder for the arms (reused when they are there already), report and JSON"""


def arm(text: str, size: str) -> Experiment:
    """An arm from the command line. Raises `FrisketError` on a change that is not field=value."""
    name, *changes = text.split(",")
    pairs: dict[str, str] = {}
    for change in changes:
        field, _, value = change.partition("=")
        if not field or not value:
            raise FrisketError(f"arm {text!r}: a change is field=value, not {change!r}")
        pairs[field] = value
    return apply(load_recipe(name).experiment(size), pairs, [])


def main(argv: list[str]) -> int:
    from frisket.evaluation.compare import compare
    from frisket.evaluation.report import Report, library_versions, write_report
    from frisket.evaluation.sections import comparison_section
    from frisket.experiments.study import compare_experiments, costs_table, table

    options, _ = parse(Compare, argv, "compare", ABOUT)
    check(len(set(options.arms)) == len(options.arms) >= 2, "arms", options.arms, "two or more different arms")
    check(options.seeds >= 3, "--seeds", options.seeds, "at least 3")
    check(options.procs >= 1, "--procs", options.procs, "at least 1")
    check(options.steps is None or options.steps >= 1, "--steps", options.steps, "at least 1")
    measures = options.measure or ["loss"]
    arms = {text: arm(text, options.size) for text in options.arms}
    if options.data:
        arms = {name: replace(a, data=parse_data(options.data)) for name, a in arms.items()}
    if options.steps:
        arms = {name: _shortened(name, a, options.steps) for name, a in arms.items()}
    folder = Path(options.out)
    results = compare_experiments(
        arms, measures=measures, seeds=options.seeds, folder=folder / "arms", procs=options.procs,
        flops=options.budget == "flops",
    )  # fmt: skip
    comparison = compare(table(results, list(arms), measures), options.arms[0])
    print(comparison.text())
    page = write_report(
        folder,
        Report(
            title="Comparison", summary=f"equal {options.budget}, {options.seeds} seeds",
            sections=[comparison_section(comparison), costs_table(results)], versions=library_versions(),
            command=f"frisket compare {shlex.join(argv)}", results={"comparison": comparison.as_dict()},
        ),
    )  # fmt: skip
    print(f"report: {page}")
    return 0


def _shortened(name: str, arm: Experiment, steps: int) -> Experiment:
    if arm.training is None:
        raise FrisketError(
            f"--steps {steps} is not accepted with {name}, which trains nothing of its own; leave it out"
        )
    return replace(arm, training=replace(arm.training, steps=steps))

"""`frisket compare A B ...`: recipes and variants of them, equal budget, several seeds, table and plot with intervals.
`frisket compare A --cross X,Y U,V`: methods of two kinds on one recipe, alone and together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from frisket.cli.options import apply, parse
from frisket.core.errors import FrisketError, check
from frisket.data.base import Data, parse_data
from frisket.experiments.experiment import Experiment
from frisket.experiments.recipes import Recipe, load_recipe

if TYPE_CHECKING:
    from frisket.evaluation.crossing import Crossing

ABOUT = (
    "Train every arm with the same seeds at an equal budget and compare them pair by pair. An arm is a recipe, or a "
    "recipe with changes: dit, pit, 'dit,model.depth=8,process.path=cosine'. The first is the baseline. A '+' puts the "
    "method of further recipes on top: dit+tread, 'dit,model.depth=8+tread+repa'. With --cross, one arm and two lists of "
    "such recipes: each alone, each pair, and whether a pair gains more or less than the sum."
)
PLUS = re.compile(r"\+(?=[A-Za-z./])")  # not that of a number such as 1e+3


@dataclass
class Compare:
    arms: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="ARM")]
    """two or more arms, RECIPE[,field=value...][+RECIPE...]; one with --cross"""
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
    cross: list[str] | None = None
    """two lists of recipes with commas between; every one of the first is combined with every one of the second"""
    procs: int = 2
    """training processes at a time, one thread each"""
    out: str = "runs/compare"
    """folder for the arms (reused when they are there already), report and JSON"""


def arm(text: str, size: str, data: Data | None = None) -> Experiment:
    """An arm from the command line. data: what it learns from instead of the recipe's own. Raises `FrisketError` on a
    change that is not field=value, and on a method that the system cannot carry."""
    first, *further = PLUS.split(text)
    recipe, pairs = _split(text, first)
    experiment = recipe.experiment(size)
    experiment = apply(experiment if data is None else replace(experiment, data=data), pairs, [])
    for part in further:
        recipe, pairs = _split(text, part)
        experiment = apply(recipe.added(experiment), pairs, [])
    return experiment


def _split(text: str, part: str) -> tuple[Recipe, dict[str, str]]:
    """The recipe that one part of an arm names, and its changes."""
    name, *changes = part.split(",")
    pairs: dict[str, str] = {}
    for change in changes:
        field, _, value = change.partition("=")
        if not field or not value:
            raise FrisketError(f"arm {text!r}: a change is field=value, not {change!r}")
        pairs[field] = value
    return load_recipe(name), pairs


def crossed(options: Compare) -> tuple[list[str], tuple[list[str], list[str]]]:
    """The arms of the table, the baseline first, and the two lists of methods."""
    check(len(options.arms) == 1, "arms", options.arms, "one, the system that --cross puts methods on")
    lists = [[name for name in text.split(",") if name] for text in options.cross or ()]
    once = len(lists) == 2 and all(lists) and len({n for group in lists for n in group}) == sum(map(len, lists))
    check(once, "--cross", options.cross, "two lists of different recipes, such as tread,sprint repa,sra")
    base, (first, second) = options.arms[0], lists
    pairs = [f"{base}+{a}+{b}" for a in first for b in second]
    return [base, *(f"{base}+{m}" for m in (*first, *second)), *pairs], (first, second)


def crossings(
    base: str, found: Mapping[str, Mapping[str, Sequence[float]]], kinds: tuple[list[str], list[str]],
    measures: Sequence[str],
) -> list[Crossing]:  # fmt: skip
    """Methods alone and together, measure by measure. found: arm -> measure -> one value a seed."""
    from frisket.evaluation.crossing import crossing
    from frisket.experiments.measures import better_of

    first, second = kinds
    keys = [(), *((m,) for m in (*first, *second)), *((a, b) for a in first for b in second)]
    return [
        crossing({k: found["+".join((base, *k))][m] for k in keys}, first, second, measure=m, better=better_of(m))
        for m in measures
    ]


def main(argv: list[str]) -> int:
    from frisket.evaluation.compare import compare
    from frisket.evaluation.crossing import crossing_text
    from frisket.evaluation.report import Report, library_versions, write_report
    from frisket.evaluation.sections import comparison_section, crossing_section
    from frisket.experiments.measures import better_of
    from frisket.experiments.study import compare_experiments, costs_table, table

    options, _ = parse(Compare, argv, "compare", ABOUT)
    names, kinds = (options.arms, None) if options.cross is None else crossed(options)
    check(len(set(names)) == len(names) >= 2, "arms", names, "two or more different arms")
    check(options.seeds >= 3, "--seeds", options.seeds, "at least 3")
    check(options.procs >= 1, "--procs", options.procs, "at least 1")
    check(options.steps is None or options.steps >= 1, "--steps", options.steps, "at least 1")
    measures = options.measure or ["loss"]
    for measure in measures if kinds else ():
        better_of(measure)
    data = parse_data(options.data) if options.data else None
    arms = {text: arm(text, options.size, data) for text in names}
    if options.steps:
        arms = {name: _shortened(name, a, options.steps) for name, a in arms.items()}
    folder = Path(options.out)
    results = compare_experiments(
        arms, measures=measures, seeds=options.seeds, folder=folder / "arms", procs=options.procs,
        flops=options.budget == "flops",
    )  # fmt: skip
    found = table(results, list(arms), measures)
    comparison = compare(found, names[0])
    print(comparison.text())
    together = crossings(names[0], found, kinds, measures) if kinds else []
    if together:
        print(crossing_text(together))
    page = write_report(
        folder,
        Report(
            title="Comparison", summary=f"equal {options.budget}, {options.seeds} seeds",
            sections=[
                comparison_section(comparison), *([crossing_section(together)] if together else []),
                costs_table(results),
            ],
            versions=library_versions(), command=f"frisket compare {shlex.join(argv)}",
            results={
                "comparison": comparison.as_dict(),
                **({"crossing": [one.as_dict() for one in together]} if together else {}),
            },
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

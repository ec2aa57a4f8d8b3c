"""`frisket run RECIPE`: train, sample, edit, evaluate and report, end to end."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import apply, defaults_table, option_names, parse
from frisket.data.base import parse_data
from frisket.experiments.experiment import Experiment, seeded
from frisket.experiments.recipes import Recipe, load_recipe, recipe_names

ABOUT = (
    "Train a recipe, sample from it, edit with it, evaluate it, and write a report. Any field of the experiment can be "
    "changed by its dotted name (--model.depth 8, --process.path cosine); give a recipe with --help to see them all."
)


@dataclass
class Run:
    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """name of a recipe, or the path of a recipe file"""
    size: str = "small"
    """tiny (seconds), small (minutes on two cores) or paper (the published configuration)"""
    data: str | None = None
    """a registered set, or imagefolder:DIR, hf:NAME, wds:FILES, csv:FILE, text:FILE, npz:FILE; default: the recipe's"""
    out: str | None = None
    """folder of the run; default: runs/RECIPE-DATA"""
    seed: int = 0
    """seed of weights, data order, noise and everything else"""
    resume: str = "auto"
    """auto: go on where the folder's last checkpoint stands; never: refuse a folder that has one; or a checkpoint folder"""
    max_time: float | None = None
    """seconds of training after which it saves and stops"""
    dry_run: bool = False
    """build everything and do one step; print sizes and costs, write nothing"""


def chosen(options: Run, pairs: dict[str, str], recipe: Recipe) -> Experiment:
    """The recipe's experiment with the command line's data, seed and overrides."""
    experiment = recipe.experiment(options.size)
    experiment = seeded(experiment, options.seed)
    if options.data:
        experiment = replace(experiment, data=parse_data(options.data))
    return apply(experiment, pairs, option_names(Run))


def place(options: Run, experiment: Experiment) -> Path:
    """Where the run lives."""
    if options.out:
        return Path(options.out)
    name = getattr(experiment.data, "part_name", "data/own").split("/", 1)[1]
    suffix = "" if options.size == "small" else f"-{options.size}"
    return Path("runs") / f"{experiment.name}-{name}{suffix}"


def read(argv: list[str], verb: str, about: str) -> tuple[Run, dict[str, str]]:
    """The options and overrides. Help that names a recipe goes on with every field of it that may be overridden."""
    try:
        return parse(Run, argv, verb, about, overridable=True)
    except SystemExit:
        for name in [a for a in argv if a in recipe_names() or a.endswith(".py")][:1]:
            print(f"\nfields of {name} (--name value):\n{defaults_table(load_recipe(name).experiment('small'))}")
        raise


def main(argv: list[str]) -> int:
    options, pairs = read(argv, "run", ABOUT)
    recipe = load_recipe(options.recipe)
    experiment = chosen(options, pairs, recipe)
    folder = place(options, experiment)
    if options.dry_run:
        from frisket.experiments.system import dry_run

        print(dry_run(experiment))
        return 0
    from frisket.experiments.run import run

    try:
        run(
            experiment, folder, paper=recipe.paper, resume=options.resume, max_time=options.max_time,
            command=f"frisket run {shlex.join(argv)}",
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: frisket run {shlex.join(argv)}", file=sys.stderr)
        return 130
    return 0

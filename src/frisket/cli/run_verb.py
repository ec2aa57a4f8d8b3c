"""`frisket run RECIPE`: train, sample, edit, evaluate and report, end to end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import apply, defaults_table, option_names, parse
from frisket.data.base import parse_data
from frisket.experiments.experiment import Experiment
from frisket.experiments.recipes import Recipe, load_recipe, recipe_names

ABOUT = (
    "Train a recipe, sample from it, edit with it, evaluate it, and write a report. Any field of the experiment can be "
    "changed by its dotted name (--model.depth 8, --process.path cosine); give a recipe with --help to see them all."
)


@dataclass
class Run:
    recipe: Annotated[str, tyro.conf.Positional]
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
    experiment = apply(experiment, {"training.seed": str(options.seed)}, [])
    if options.data:
        from dataclasses import replace

        experiment = replace(experiment, data=parse_data(options.data))
    return apply(experiment, pairs, option_names(Run))


def place(options: Run, experiment: Experiment) -> Path:
    """Where the run lives."""
    if options.out:
        return Path(options.out)
    name = getattr(experiment.data, "part_name", "data/own").split("/", 1)[1]
    suffix = "" if options.size == "small" else f"-{options.size}"
    return Path("runs") / f"{experiment.name}-{name}{suffix}"


def help_with_fields(argv: list[str]) -> None:
    """Behind the verb's own help: every field of the named recipe, or of the first one, that may be overridden."""
    named = [a for a in argv if a in recipe_names() or a.endswith(".py")]
    if named and any(a in ("-h", "--help") for a in argv):
        print(f"fields of {named[0]} (--name value):\n{defaults_table(load_recipe(named[0]).experiment('small'))}\n")


def main(argv: list[str]) -> int:
    help_with_fields(argv)
    options, pairs = parse(Run, argv, "run", ABOUT, overridable=True)
    recipe = load_recipe(options.recipe)
    experiment = chosen(options, pairs, recipe)
    folder = place(options, experiment)
    if options.dry_run:
        from frisket.experiments.system import dry_run

        print(dry_run(experiment))
        return 0
    from frisket.experiments.run import run

    try:
        run(experiment, folder, paper=recipe.paper, resume=options.resume, max_time=options.max_time)
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: frisket run {' '.join(argv)}", file=sys.stderr)
        return 130
    return 0

"""`frisket train RECIPE`: training alone, on the recipe's data or on yours."""

from __future__ import annotations

import shlex
import sys

from frisket.cli.run_verb import chosen, place, read
from frisket.experiments.recipes import load_recipe

ABOUT = (
    "Train a recipe: on one process, or unchanged under torchrun. Any field of the experiment can be changed by its "
    "dotted name (--training.batch 256); give a recipe with --help to see them all."
)


def main(argv: list[str]) -> int:
    from frisket.experiments.system import dry_run, train

    options, pairs = read(argv, "train", ABOUT)
    experiment = chosen(options, pairs, load_recipe(options.recipe))
    folder = place(options, experiment)
    if options.dry_run:
        print(dry_run(experiment))
        return 0
    try:
        train(experiment, folder, resume=options.resume, max_time=options.max_time)
    except KeyboardInterrupt:
        print(f"\nstopped; to go on: frisket train {shlex.join(argv)}", file=sys.stderr)
        return 130
    print(f"model: {folder / 'model'}\nsample it: frisket sample {folder}\nscore it: frisket evaluate {folder}")
    return 0

"""`frisket adapt CKPT --with lora --data imagefolder:DIR`: teach a trained model something more, with few weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import apply, defaults_table, option_names, parse
from frisket.cli.targets import data_of

ABOUT = (
    "Adapt a checkpoint: small adapters learn, the model below stays as it is. Writes a plain model with the adapters "
    "folded in (OUT/model) and each adapter alone (OUT/adapter-NAME, in peft's format). Any field can be changed by its "
    "dotted name (--phases.0.edits.0.rank 16, --phases.0.training.steps 200); --help with --with NAME shows them all."
)


@dataclass
class Adapt:
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """run folder, model folder or hub id"""
    method: Annotated[str, tyro.conf.arg(aliases=["--with"])] = "lora"
    """lora, a recipe that says how a checkpoint is adapted (mc-vton), or the path of such a recipe file"""
    data: str | None = None
    """what to learn from: a registered set, or imagefolder:DIR, hf:NAME, ...; default: the checkpoint's own data"""
    out: str = "adapted"
    """folder to write; the same command on an interrupted one goes on"""
    seed: int = 0
    """seed of data order and noise"""


def main(argv: list[str]) -> int:
    from frisket.experiments.adaptation import adapt
    from frisket.experiments.system import load

    options, pairs = read(argv)
    adaptation = apply(adaptation_of(options.method), pairs, option_names(Adapt))
    folder = Path(options.out)
    data = data_of(options.checkpoint, options.data, load(options.checkpoint).info)
    adapt(options.checkpoint, adaptation, data, folder, seed=options.seed)
    alone = ", ".join(str(p) for p in sorted(folder.glob("adapter-*"))) or "none"
    print(f"model: {folder / 'model'}\nadapters alone: {alone}\nsample it: frisket sample {folder}")
    return 0


def read(argv: list[str]) -> tuple[Adapt, dict[str, str]]:
    """The options and overrides. Help that names a method goes on with every field of it that may be overridden."""
    try:
        return parse(Adapt, argv, "adapt", ABOUT, overridable=True)
    except SystemExit:
        named = [b for a, b in pairwise(argv) if a in ("--with", "--method")]
        if named:
            print(f"\nfields of {named[0]} (--name value):\n{defaults_table(adaptation_of(named[0]))}")
        raise


def adaptation_of(name: str):
    """The adaptation called `name`. Raises `FrisketError` on an unknown one, with the nearest."""
    from frisket.core.errors import unknown
    from frisket.experiments.adaptation import Adaptation
    from frisket.experiments.recipes import load_recipe, recipe_names

    if name == "lora":
        return Adaptation()
    known = [n for n in recipe_names() if hasattr(load_recipe(n).module, "ADAPTATION")]
    if not name.endswith(".py") and name not in known:
        raise unknown("adaptation", name, ["lora", *known, "PATH.py"])
    module = load_recipe(name).module
    if not hasattr(module, "ADAPTATION"):
        raise unknown("adaptation", name, ["a recipe file that defines ADAPTATION"])
    return module.ADAPTATION

"""`frisket cite RUN`: the BibTeX of the recipe and of every part that a run used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json
from frisket.experiments.paper import bibliography
from frisket.experiments.recipes import load_recipe, recipe_names

ABOUT = "Print the BibTeX of the recipe and of every part that a run used."


@dataclass
class Cite:
    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """folder of a run or of a saved model, or a recipe by name or file"""


def citations(target: str) -> list[str]:
    """BibTeX entries for a run folder, a model folder or a recipe, without repeats."""
    from frisket.core.config import to_config

    path = Path(target)
    if path.is_dir():
        config = read_json(path / "config.json")
        check(isinstance(config, dict), str(path / "config.json"), type(config).__name__, "a JSON object")
        shipped = config.get("name") in recipe_names()
        return bibliography([load_recipe(config["name"]).paper.cite] if shipped else [], config)
    if target not in recipe_names() and not target.endswith(".py"):
        raise FrisketError(f"{target!r} is neither a folder nor a recipe ({', '.join(recipe_names())}, PATH.py)")
    recipe = load_recipe(target)
    return bibliography([recipe.paper.cite], to_config(replace(recipe.experiment("small"), study=None)))


def main(argv: list[str]) -> int:
    options, _ = parse(Cite, argv, "cite", ABOUT)
    print("\n\n".join(citations(options.run)))
    return 0

"""`frisket cite RUN`: the BibTeX of the recipe and of every part that a run used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError
from frisket.core.files import read_json
from frisket.core.registry import lookup
from frisket.experiments.paper import bibtex
from frisket.experiments.recipes import load_recipe, recipe_names

ABOUT = "Print the BibTeX of the recipe and of every part that a run used."


@dataclass
class Cite:
    run: Annotated[str, tyro.conf.Positional]
    """folder of a run or of a saved model, or the name of a recipe"""


def parts_in(config: Any) -> set[str]:
    """Names of all parts in plain config data."""
    if isinstance(config, dict):
        own = {config["part"]} if "part" in config else set()
        return own.union(*(parts_in(v) for v in config.values()))
    if isinstance(config, list):
        return set().union(*(parts_in(v) for v in config))
    return set()


def citations(target: str) -> list[str]:
    """BibTeX entries for a run folder, a model folder or a recipe name, without repeats."""
    from frisket.core.config import to_config

    path = Path(target)
    names = [target] if target in recipe_names() else []
    if names:
        config = to_config(load_recipe(target).experiment("small"))
    elif path.is_dir():
        config = read_json(path / "config.json")
        names = [config["name"]] if config.get("name") in recipe_names() else []
    else:
        raise FrisketError(f"{target!r} is neither a folder nor a recipe ({', '.join(recipe_names())})")
    cited = [load_recipe(n).paper.cite for n in names]
    cited += [c for p in sorted(parts_in(config)) if (c := getattr(lookup(p), "part_cite", ""))]
    return [bibtex(c) for c in dict.fromkeys(cited)]


def main(argv: list[str]) -> int:
    options, _ = parse(Cite, argv, "cite", ABOUT)
    print("\n\n".join(citations(options.run)))
    return 0

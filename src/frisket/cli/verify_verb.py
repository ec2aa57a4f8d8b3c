"""`frisket verify RECIPE`: gather the evidence of a paper's four marks and store it in `results/RECIPE.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.experiments.recipes import load_recipe

ABOUT = "Run a recipe end to end, compute its published counts, compare with official code, and measure its claim."


@dataclass
class Verify:
    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """name of a recipe, or the path of a recipe file"""
    size: str = "small"
    """size to measure at: tiny, small or paper"""
    procs: int = 2
    """training processes at a time, one thread each"""
    folder: str = "runs/verify"
    """where runs are stored; what is there already is not trained again"""
    results: str = "results"
    """where the evidence goes"""


def main(argv: list[str]) -> int:
    from frisket.experiments.evidence import marks
    from frisket.experiments.run import run
    from frisket.experiments.study import verify

    options, _ = parse(Verify, argv, "verify", ABOUT)
    recipe = load_recipe(options.recipe)
    folder = Path(options.folder)
    record = verify(
        recipe, size=options.size, folder=folder / recipe.name, arms=folder / "arms", results=Path(options.results),
        procs=options.procs, 
        run=lambda experiment, place: run(experiment, place, paper=recipe.paper, made=folder / "made"),
    )  # fmt: skip
    for row in record["effect"]["expected"]:
        d = row["difference"]
        print(
            f"{row['measure']}: {row['arm']} minus {row['other']} {d['value']:+.3g} [{d['low']:+.3g}, {d['high']:+.3g}], "
            f"expected {row['relation']}: {row['verdict']}"
        )
    print(", ".join(f"{k}: {v}" for k, v in marks(recipe, record).items()))
    print(f"wrote {Path(options.results) / recipe.name}.json")
    return 0

"""`frisket new NAME --like dit`: a recipe file to start from, which `frisket run ./NAME.py` runs at once."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError
from frisket.experiments.recipes import load_recipe

ABOUT = "Write NAME.py, a copy of a recipe's wiring with its PAPER left to fill in. It runs as it is."


@dataclass
class New:
    name: Annotated[str, tyro.conf.Positional]
    """name of the recipe; the file is NAME.py"""
    like: str = "dit"
    """recipe to start from"""
    folder: str = "."
    """where to write the file"""


def draft(name: str, like: str) -> str:
    """Source of the new recipe: the wiring of `like`, with docstring and PAPER blanked, evidence of `like` left out."""
    source = inspect.getsource(load_recipe(like).module)
    lines = source.splitlines()
    edits: list[tuple[int, int, str]] = []
    for node in ast.parse(source).body:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and first == 0:
            edits.append((first, last, f'"""{name}: what it does, in one sentence. Started from the recipe {like}."""'))
        elif isinstance(target, ast.Name) and target.id == "PAPER":
            edits.append((first, last, PAPER.format(name=name)))
        elif isinstance(target, ast.Name) and target.id in ("COUNTS", "PARITY"):
            edits.append((first, last, ""))
    for first, last, text in reversed(edits):
        lines[first:last] = text.splitlines()
    text = "\n".join(lines) + "\n"
    return text.replace(f'name="{like}"', f'name="{name}"')


PAPER = """PAPER = Paper(
    card=0, arxiv="0000.00000", year=2026,
    title="{name}",
    authors="Fill in",
    does="one line for the table",
    claim="what is better than what, measured how",
)  # fmt: skip"""


def main(argv: list[str]) -> int:
    options, _ = parse(New, argv, "new", ABOUT)
    path = Path(options.folder) / f"{options.name.replace('-', '_')}.py"
    if path.exists():
        raise FrisketError(f"{path} exists already; choose another name or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draft(options.name, options.like))
    print(f"wrote {path}\nrun it:   frisket run {path} --size tiny\nmeasure:  frisket verify {path}")
    return 0

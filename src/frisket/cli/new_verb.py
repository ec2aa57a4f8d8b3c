"""`frisket new NAME --like dit`: a recipe file to start from, which `frisket run ./NAME.py` runs at once."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError, check
from frisket.experiments.recipes import load_recipe, recipe_names

NAME = re.compile(r"[a-z][a-z0-9_-]*")
ABOUT = "Write NAME.py, a copy of a recipe's wiring with its PAPER left to fill in. It runs as it is."


@dataclass
class New:
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """name of the recipe; the file is NAME.py"""
    like: str = "dit"
    """recipe to start from"""
    folder: str = "."
    """where to write the file"""


def draft(name: str, like: str) -> str:
    """Source of the new recipe: the wiring of `like`, with docstring and PAPER blanked, evidence of `like` left out."""
    recipe = load_recipe(like)
    source = inspect.getsource(recipe.module)
    lines = source.splitlines()
    edits: list[tuple[int, int, str]] = []
    for node in ast.parse(source).body:
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and first == 0:
            about = f"{name}: what it does, in one sentence. Started from the recipe {recipe.name}."
            edits.append((first, last, f'"""{about}"""'))
        elif isinstance(target, ast.Name) and target.id == "PAPER":
            edits.append((first, last, PAPER.format(name=name)))
        elif isinstance(target, ast.Name) and target.id in ("COUNTS", "PARITY"):
            edits.append((first, last, ""))
    for first, last, text in reversed(edits):
        lines[first:last] = text.splitlines()
    text = "\n".join(lines) + "\n"
    return without_unused(text.replace(f'name="{recipe.name}"', f'name="{name}"'))


def without_unused(source: str) -> str:
    """The source with its top-level `from` imports reduced to the names that it uses."""
    tree, lines = ast.parse(source), source.splitlines()
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in reversed(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            kept = [a.name for a in node.names if (a.asname or a.name) in used and a.asname is None]
            kept += [f"{a.name} as {a.asname}" for a in node.names if a.asname in used]
            line = [f"from {node.module} import {', '.join(kept)}"] if kept else []
            lines[node.lineno - 1 : node.end_lineno] = line
    return "\n".join(lines) + "\n"


PAPER = """PAPER = Paper(
    card=0, arxiv="0000.00000", year=2026,
    title="{name}",
    authors="Fill in",
    does="one line for the table",
    claim="what is better than what, measured how",
)  # fmt: skip"""


def main(argv: list[str]) -> int:
    options, _ = parse(New, argv, "new", ABOUT)
    check(
        bool(NAME.fullmatch(options.name)), "name", options.name, "lower-case letters, digits, - and _, a letter first"
    )
    check(options.name.replace("_", "-") not in recipe_names(), "name", options.name, "one that no shipped recipe has")
    name = options.name.replace("_", "-")
    path = Path(options.folder) / f"{name.replace('-', '_')}.py"
    if path.exists():
        raise FrisketError(f"{path} exists already; choose another name or remove it")
    source = draft(name, options.like)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    print(f"wrote {path}\nrun it:   frisket run {path} --size tiny\nmeasure:  frisket verify {path}")
    return 0

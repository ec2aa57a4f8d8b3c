"""Writes docs/parts.md: a table for each slot of registered parts, from their docstrings. Run by `make docs`."""

from __future__ import annotations

import inspect
import re
from itertools import groupby
from pathlib import Path

from frisket.core import lookup, names

HEAD = """# Parts

Every registered part, by slot, with the first sentence of its docstring. Made by `docs/make_tables.py`.
"""


def first_sentence(cls: type) -> str:
    """The first sentence of the class's own docstring, else of its module's."""
    own = cls.__doc__ if cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(") else None
    module = inspect.getmodule(cls)
    text = inspect.cleandoc(own or (module and module.__doc__) or "")
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)[0]


def row(name: str) -> str:
    cls = lookup(name)
    cells = (f"`{name}`", first_sentence(cls), getattr(cls, "part_cite", ""), f"`{cls.__module__}`")
    return "| " + " | ".join(escaped(c) for c in cells) + " |"


def escaped(cell: str) -> str:
    """A cell that Markdown leaves as it is."""
    if cell.startswith("`"):
        return cell
    return re.sub(r"([|*_<>\[\]$\\`])", r"\\\1", cell)


def tables() -> str:
    out = [HEAD]
    for slot, found in groupby(names(), key=lambda n: n.split("/")[0]):
        out += [f"## {slot}", "", "| name | what it is | source | file |", "|---|---|---|---|", *map(row, found), ""]
    return "\n".join(out)


if __name__ == "__main__":
    Path(__file__).with_name("parts.md").write_text(tables())

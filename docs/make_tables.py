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
    """The first sentence of the class's own docstring, or of its module's where the class only lists its fields."""
    own = cls.__doc__ if cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(") else ""
    module = inspect.getmodule(cls)
    texts = [" ".join(inspect.cleandoc(t).split("\n\n")[0].split()) for t in (own, (module and module.__doc__) or "")]
    chosen = next((t for t in texts if t and not re.match(r"[a-z_]+(, [a-z_]+)*: ", t)), "")
    return re.split(r"(?<=[.!?])\s+", chosen)[0]


def row(name: str) -> str:
    cls = lookup(name)
    cells = (f"`{name}`", first_sentence(cls), getattr(cls, "part_cite", ""), f"`{cls.__module__}`")
    return "| " + " | ".join(escaped(c) for c in cells) + " |"


def escaped(cell: str) -> str:
    """A cell that Markdown leaves as it is, but for `code`."""
    parts = cell.split("`")
    return "`".join(p if i % 2 else re.sub(r"([|*_<>\[\]$\\])", r"\\\1", p) for i, p in enumerate(parts))


def tables() -> str:
    out = [HEAD]
    for slot, found in groupby(names(), key=lambda n: n.split("/")[0]):
        out += [f"## {slot}", "", "| name | what it is | source | file |", "|---|---|---|---|", *map(row, found), ""]
    return "\n".join(out)


if __name__ == "__main__":
    Path(__file__).with_name("parts.md").write_text(tables())

"""`frisket papers`: every implemented paper with its four marks, derived from stored evidence, never declared."""

from __future__ import annotations

import json
from dataclasses import dataclass

from frisket.cli.options import parse
from frisket.experiments.evidence import paper_rows

ABOUT = "List the implemented papers. The marks come from results/*.json, which `frisket verify` writes."
MARKS = ("works", "counts", "parity", "effect")


@dataclass
class Papers:
    json: bool = False
    """print a list of {name, card, title, arxiv, works, counts, parity, effect} instead of a table"""


def main(argv: list[str]) -> int:
    options, _ = parse(Papers, argv, "papers", ABOUT)
    rows = paper_rows()
    if options.json:
        keys = ("name", "card", "title", "arxiv", *MARKS)
        print(json.dumps([{k: row[k] for k in keys} for row in rows], indent=2))
        return 0
    from rich.console import Console
    from rich.table import Column, Table

    recipe = Column("recipe", no_wrap=True)
    table = Table(recipe, "paper", "what it does", *MARKS, box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], f"{row['card']:03d}", row["does"], *(row[m] for m in MARKS))
    Console().print(table)
    return 0

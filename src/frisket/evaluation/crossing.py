"""Methods of two kinds, every one of the first with every one of the second: each alone, each pair, and what a pair gives
beyond the sum.

Every number is a paired difference over seeds with its t interval. Shapes: s seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frisket.core.errors import unknown
from frisket.evaluation.interaction import Interaction, interactions
from frisket.evaluation.intervals import Difference, paired

COLUMNS = ("measure", "method", "minus the baseline", "beyond the sum of both", "reading")


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The outcome under one measure. better: which way it counts. alone: each method against the baseline."""

    measure: str
    better: Literal["less", "more"]
    alone: dict[str, Difference]
    pairs: tuple[Interaction, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "measure": self.measure, "better": self.better,
            "alone": {name: found.as_dict() for name, found in self.alone.items()},
            "pairs": [pair.as_dict() for pair in self.pairs],
        }  # fmt: skip

    def cells(self) -> list[tuple[str, ...]]:
        """Rows of text under `COLUMNS`."""
        rows = [(self.measure, name, _said(found), "", "") for name, found in self.alone.items()]
        for pair in self.pairs:
            both = f"{pair.first} + {pair.second}"
            rows.append((self.measure, both, _said(pair.effect), _said(pair.beyond), pair.reading))
        return rows


def crossing(
    values: Mapping[tuple[str, ...], Sequence[float]], first: Sequence[str], second: Sequence[str], *, measure: str,
    better: Literal["less", "more"],
) -> Crossing:  # fmt: skip
    """What every method does alone and with those of the other kind. values: one number a seed, for the baseline (), every
    (method,) and every pair (a of `first`, b of `second`).

    Raises `FrisketError` on one that is missing, and on fewer than three seeds.
    """
    pairs = [(a, b) for a in first for b in second]
    for key in ((), *((m,) for m in (*first, *second)), *pairs):
        if key not in values:
            raise unknown("methods together", "+".join(key) or "none", ["+".join(k) or "none" for k in values])
    base, alone = values[()], {m: values[(m,)] for m in (*first, *second)}
    return Crossing(
        measure=measure, better=better, alone={m: paired(v, base) for m, v in alone.items()},
        pairs=tuple(interactions(alone, {pair: values[pair] for pair in pairs}, base, better)),
    )  # fmt: skip


def crossing_text(found: Sequence[Crossing], width: int = 120) -> str:
    """All measures as one table of plain text, by rich."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="methods alone and together, 95 % paired t intervals")
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if i in (2, 3) else "left")
    for one in found:
        rows = one.cells()
        for i, row in enumerate(rows):
            table.add_row(*row, end_section=i + 1 == len(rows))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _said(d: Difference) -> str:
    return f"{d.value:+.3g} [{d.low:+.3g}, {d.high:+.3g}]"

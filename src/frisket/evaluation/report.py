"""A run's report: one HTML page with everything inside it, and the same facts as JSON.

A report is a title, a list of sections (text, figures, a table, samples of text) and how to make it again; what a
section holds is up to the recipe. `frisket.evaluation.sections` builds the usual ones.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from frisket.core.errors import check
from frisket.core.files import atomic_file, write_json
from frisket.evaluation.plots import Figure

log = logging.getLogger(__name__)
LARGEST = 2_000_000  # bytes of HTML that a browser opens without waiting


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells are plain text; `marks` may add trusted markup after a row's last column. right: columns of numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    right: tuple[int, ...] = ()
    marks: tuple[str, ...] = ()

    def __post_init__(self):
        for row in self.rows:
            check(len(row) == len(self.columns), "table row", row, f"of {len(self.columns)} cells")
        check(len(self.marks) in (0, len(self.rows)), "table.marks", len(self.marks), f"0 or {len(self.rows)}")


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a report. samples: texts shown as they are, each with a label ("" for none)."""

    title: str
    text: str = ""
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    samples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """summary: one line of what was run. timings: seconds by name. command: what makes it again. citations: BibTeX
    entries. results: further JSON data, stored beside the sections."""

    title: str
    summary: str = ""
    sections: Sequence[Section] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    citations: Sequence[str] = ()
    results: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON data; figures by caption only."""
        sections = [
            {
                "title": s.title, "text": s.text, "figures": [f.caption for f in s.figures],
                "table": s.table and {"columns": list(s.table.columns), "rows": [list(r) for r in s.table.rows],
                                      "note": s.table.note},
                "samples": [list(pair) for pair in s.samples],
            }
            for s in self.sections
        ]  # fmt: skip
        return {
            "title": self.title, "summary": self.summary, "seed": self.seed, "command": self.command,
            "versions": dict(self.versions), "timings": dict(self.timings), "config": self.config,
            "citations": list(self.citations), "results": dict(self.results), "sections": sections,
        }  # fmt: skip


def write_report(folder: Path | str, report: Report) -> Path:
    """Write `report.html` and `report.json` into `folder`, each whole or not at all; returns the page's path."""
    from frisket.evaluation.html import page

    folder = Path(folder)
    text = page(report)
    if len(text.encode()) > LARGEST:
        log.warning("the report has %.1f MB; show fewer or smaller images", len(text.encode()) / 1e6)
    write_json(folder / "report.json", report.as_dict())
    with atomic_file(folder / "report.html") as aside:
        aside.write_text(text, encoding="utf-8")
    return folder / "report.html"


def library_versions(*names: str) -> dict[str, str]:
    """Versions of Python and of installed libraries, by default those that results depend on."""
    out = {"python": platform.python_version()}
    for name in names or ("frisket", "torch", "numpy", "scikit-learn", "scipy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out

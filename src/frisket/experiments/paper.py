"""`Paper`: what a recipe says of its source, and `Count`: a published number that must come out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from frisket.core.registry import lookup

CITATION = re.compile(
    r"^(?P<authors>.+?)(?<!\b[A-Z])\. (?P<title>.+)\. (?P<year>\d{4})\.(?: arXiv:(?P<arxiv>[\d.]+))?$"
)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """card: number of its specification. does: one line for the table. claim: what the paper says, in one sentence."""

    card: int
    title: str
    authors: str
    year: int
    arxiv: str
    does: str
    claim: str

    @property
    def cite(self) -> str:
        return f"{self.authors}. {self.title}. {self.year}. arXiv:{self.arxiv}"


@dataclass(frozen=True, kw_only=True)
class Count:
    """A published count (parameters, MACs, full steps, bits). compute() gives ours; tolerance is relative, 0 = exact."""

    name: str
    published: float
    compute: Callable[[], float]
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How equality with official code is shown. kind: "module" or "functions". difference(): largest absolute
    difference to the stored golden arrays. limit: what counts as equal."""

    kind: str
    difference: Callable[[], float]
    limit: float = 1e-5


def bibtex(cite: str) -> str:
    """A BibTeX entry from "Authors. Title. Year. arXiv:ID". Raises `ValueError` on another form."""
    found = CITATION.match(cite)
    if not found:
        raise ValueError(f"citation {cite!r} is not of the form 'Authors. Title. Year. arXiv:ID'")
    authors = re.split(r", | and ", re.sub(r",? et al$", " and others", found["authors"]))
    first = re.sub(r"[^a-z]", "", authors[0].split()[-1].lower())
    word = next((w for w in re.findall(r"[a-z]{4,}", found["title"].lower())), "paper")
    lines = [f"  title={{{found['title']}}}", f"  author={{{' and '.join(authors)}}}", f"  year={{{found['year']}}}"]
    if found["arxiv"]:
        lines += [f"  eprint={{{found['arxiv']}}}", "  archivePrefix={arXiv}"]
    return f"@misc{{{first}{found['year']}{word},\n" + ",\n".join(lines) + "\n}"


def bibliography(cites: Sequence[str], config: Any) -> list[str]:
    """BibTeX entries of `cites`, then of all parts named in plain config data; a paper is listed once, by arXiv id."""
    parts = [getattr(lookup(name), "part_cite", "") for name in sorted(parts_in(config))]
    entries: dict[str, str] = {}
    for cite in (*cites, *filter(None, parts)):
        found = CITATION.match(cite)
        entries.setdefault(found["arxiv"] or cite if found else cite, bibtex(cite))
    return list(entries.values())


def parts_in(config: Any) -> set[str]:
    """Names of all parts in plain config data."""
    if isinstance(config, dict):
        own = {config["part"]} if "part" in config else set()
        return own.union(*(parts_in(v) for v in config.values()))
    if isinstance(config, list):
        return set().union(*(parts_in(v) for v in config))
    return set()

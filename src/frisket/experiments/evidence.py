"""The four marks of a paper, read from the evidence that `frisket verify` stored.

works: every part of `small` ran end to end. counts: every published count came out. parity: how equality with official
code was shown. effect: the study's verdict. Without stored evidence a mark says "no" or "not measured".
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from frisket.core.files import read_json
from frisket.experiments.recipes import Recipe, load_recipe, recipe_names

NOT_MEASURED = "not measured"


def stored(name: str) -> dict[str, Any] | None:
    """What `frisket verify NAME` stored in `results/` here, else what is installed with the package, or None."""
    for folder in (Path("results"), Path(str(resources.files("frisket"))) / "results"):
        path = folder / f"{name}.json"
        if path.is_file():
            return read_json(path)
    return None


def marks(recipe: Recipe, evidence: dict[str, Any] | None) -> dict[str, str]:
    """{works, counts, parity, effect}, each a word or two. `tiny` is for tests: a claim measured there says so, and
    that it runs is not what "works" means."""
    evidence = evidence or {}
    counts = evidence.get("counts")
    parity = evidence.get("parity")
    effect = evidence.get("effect")
    works = evidence.get("works", {})
    return {
        "works": "yes" if works.get("ok") and works.get("size") != "tiny" else "no",
        "counts": "none published" if not recipe.counts else "yes" if counts and all(c["ok"] for c in counts) else "no",
        "parity": "no code" if recipe.parity is None else parity["kind"] if parity and parity["ok"] else NOT_MEASURED,
        "effect": _effect(effect, evidence.get("size")) if effect else NOT_MEASURED,
    }


def _effect(effect: dict[str, Any], size: str | None) -> str:
    notes = [word for word in ("proxy", "planted", "by construction") if effect.get(word)]
    notes += ["tiny"] if size == "tiny" else []
    return effect["verdict"] + (f" ({', '.join(notes)})" if notes else "")


def paper_rows() -> list[dict[str, Any]]:
    """One row a shipped recipe: {name, card, title, arxiv, does, works, counts, parity, effect}."""
    rows = []
    for name in recipe_names():
        recipe = load_recipe(name)
        paper = recipe.paper
        rows.append(
            {"name": name, "card": paper.card, "title": paper.title, "arxiv": paper.arxiv, "does": paper.does}
            | marks(recipe, stored(name))
        )
    return rows
